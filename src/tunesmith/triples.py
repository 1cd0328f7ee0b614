"""From what ``relation_heads.TripleHead`` gives for each word of a text to its entities and their relations.

Shapes: N words of a text, C outputs of a word, M entities found, R relations.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from tunesmith import decoding, spans, tags
from tunesmith.decoding import Rules
from tunesmith.relation_heads import pair_scores, parts
from tunesmith.spans import Place, Span

Floats = NDArray[np.floating]
Numbers = NDArray[np.integer]

_ENTITY_COLUMNS = 4


class Pattern(NamedTuple):
    """What may hold: a relation with the types of its head and its tail."""

    head: str
    relation: str
    tail: str


class Held(NamedTuple):
    """A relation that holds between two entities, by their numbers, with its probability."""

    head: int
    tail: int
    relation: str
    score: float


@dataclass(frozen=True)
class Names:
    """What the outputs of a word stand for.

    Args:
        types: of entities.
        relations: between them.
        patterns: that may hold; none: all.
    """

    types: tuple[str, ...]
    relations: tuple[str, ...]
    patterns: tuple[Pattern, ...] | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of words, in the order of the outputs."""
        return tuple(tags.labels(self.types))

    def allowed(self) -> NDArray[np.bool_]:
        """Which relations may hold between which types, (types, types, R)."""
        grid = np.full((len(self.types), len(self.types), len(self.relations)), self.patterns is None)
        for head, relation, tail in self.patterns or ():
            grid[self.types.index(head), self.types.index(tail), self.relations.index(relation)] = True
        return grid


@dataclass(frozen=True, eq=False)
class Found:
    """What a text was found to hold.

    Args:
        entities: in the order of the text, in characters.
        scores: probability of each entity, mean over its words, (M,).
        relations: probability of each relation between any two entities, head first, (M, M, R); 0 where none may hold.
        names: of the relations.
    """

    entities: tuple[Span, ...]
    scores: Floats
    relations: Floats
    names: tuple[str, ...]

    def held(self, threshold: float) -> list[Held]:
        """The relations from a probability on, in the order of heads and tails."""
        places = np.argwhere((self.relations >= threshold) & (self.relations > 0))
        return [
            Held(head, tail, self.names[name], float(self.relations[head, tail, name]))
            for head, tail, name in places.tolist()
        ]

    def triples(self, threshold: float) -> set[tuple[Span, str, Span]]:
        """The same in full."""
        return {(self.entities[head], name, self.entities[tail]) for head, tail, name, _ in self.held(threshold)}

    def over(self, threshold: float) -> Found:
        """The same with only the entities of at least this probability, and what holds between them."""
        kept = np.flatnonzero(self.scores >= threshold)
        entities = tuple(self.entities[place] for place in kept.tolist())
        return Found(entities, self.scores[kept], self.relations[np.ix_(kept, kept)], self.names)

    def packed(self, types: Sequence[str]) -> Floats:
        """All in one array (M, 4 + MR): start, end, number of the type and score of each entity, then its relations as head."""
        facts = [
            (start, end, types.index(name), score)
            for (start, end, name), score in zip(self.entities, self.scores.tolist(), strict=True)
        ]
        columns = np.array(facts, np.float64).reshape(-1, _ENTITY_COLUMNS)
        return np.concatenate([columns, self.relations.reshape(len(facts), -1)], axis=1)

    @classmethod
    def unpacked(cls, packed: Floats, names: Names) -> Found:
        """What ``packed`` made."""
        facts, count = packed[:, :_ENTITY_COLUMNS], len(packed)
        entities = tuple(
            Span(int(start), int(end), names.types[int(number)]) for start, end, number, _ in facts.tolist()
        )
        relations = packed[:, _ENTITY_COLUMNS:].reshape(count, count, len(names.relations))
        return cls(entities, facts[:, 3], relations, names.relations)


def find(outputs: Sequence[Floats], places: Sequence[Sequence[Place]], names: Names) -> list[Found]:
    """Entities and relations of some texts.

    Args:
        outputs: of each text, (N, C); NaN at words that the model did not see, which are in no entity.
        places: of each text's words, in characters.
        names: what the outputs stand for.
    """
    probabilities, vectors = [], []
    for rows in outputs:
        scores, *pair = parts(rows.astype(np.float64), len(names.tags), len(names.relations))
        probabilities.append(_or_outside(softmax(scores, axis=1)))
        vectors.append(np.stack(pair))
    paths = decoding.decode(probabilities, rules(names.tags))
    allowed = names.allowed()
    return [
        _found(path, row, pair, where, names, allowed)
        for path, row, pair, where in zip(paths, probabilities, vectors, places, strict=True)
    ]


def by_word(outputs: Iterable[Floats], tokens: Iterable[Numbers], words: int) -> Floats:
    """Outputs of each word (N, C), the mean over the windows in which it stands; NaN where it stands in none.

    Args:
        outputs: of each window, (its tokens, C).
        tokens: of each window and each word, its token there; -1 where it is not there.
        words: how many the text has.
    """
    total, count = None, np.zeros((words, 1))
    for rows, places in zip(outputs, tokens, strict=True):
        here = places >= 0
        total = np.zeros((words, rows.shape[1])) if total is None else total
        total[here] += rows[places[here]]
        count[here] += 1
    assert total is not None, "a text has at least one window"
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@functools.cache
def rules(labels: tuple[str, ...]) -> Rules:
    """Which tag may follow which, in the scheme iob2."""
    outside, parsed = tags.parse("O"), [tags.parse(label) for label in labels]
    after = [[tags.follows(before, now, "iob2") for now in parsed] for before in parsed]
    first = [tags.follows(outside, now, "iob2") for now in parsed]
    return Rules(np.array(first), np.array(after), np.ones(len(labels), bool))


def best_threshold(found: Sequence[Found], gold: Sequence[set[tuple[Span, str, Span]]], default: float = 0.5) -> float:
    """The probability from which relations are taken to hold that gives the best F1 of whole triples.

    It lies between two of the probabilities met, so that a like one falls on the same side; of equal ones the nearest to
    the default is taken, and the default itself where nothing was found or there is nothing to find.
    """
    scored = sorted(_judged(found, gold), reverse=True)
    wanted = sum(len(row) for row in gold)
    if not wanted or not any(right for _, right in scored):
        return default
    values = np.array([score for score, _ in scored])
    hits = np.cumsum([right for _, right in scored])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + wanted)
    below = np.append(values[1:], 0.0)
    ends_run = values > below
    best = np.flatnonzero(ends_run & (f1 >= f1[ends_run].max() - 1e-12))
    middles = (values[best] + below[best]) / 2
    return float(middles[np.abs(middles - default).argmin()])


def _judged(found: Sequence[Found], gold: Sequence[set[tuple[Span, str, Span]]]) -> Iterator[tuple[float, bool]]:
    """The probability of every relation that may hold, and whether it is there."""
    for row, there in zip(found, gold, strict=True):
        for head, tail, name, score in row.held(0.0):
            yield score, (row.entities[head], name, row.entities[tail]) in there


def _or_outside(probabilities: Floats) -> Floats:
    """Words that were not seen are outside, for certain."""
    unseen = np.isnan(probabilities).any(1)
    probabilities[unseen] = 0.0
    probabilities[unseen, 0] = 1.0
    return probabilities


def _found(
    path: Numbers,
    probabilities: Floats,
    vectors: Floats,
    places: Sequence[Place],
    names: Names,
    allowed: NDArray[np.bool_],
) -> Found:
    marked = tags.read([names.tags[number] for number in path.tolist()])
    chosen = np.take_along_axis(probabilities, path[:, None], 1)[:, 0]
    scores = np.array([chosen[start:end].mean() for start, end, _ in marked])
    entities = tuple(spans.in_characters(places, marked))
    if not marked:
        return Found((), scores, np.zeros((0, 0, len(names.relations))), names.relations)
    heads, tails = (np.stack([side[start:end].mean(0) for start, end, _ in marked]) for side in vectors)
    relations = expit(pair_scores(heads[:, None], tails[None]))
    numbers = [names.types.index(span.type) for span in marked]
    relations *= allowed[np.ix_(numbers, numbers)]
    relations[np.diag_indices(len(marked))] = 0.0
    return Found(entities, scores, relations, names.relations)
