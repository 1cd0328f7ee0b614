"""From what ``heads.relations.TripleHead`` gives for each word of a text to its entities and their relations.

Shapes: N words of a text, O tags, R relations, K numbers of a word's vector for each, M entities found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from tunesmith.outputs import pair_scores, parts
from tunesmith.text import decoding, spans, tags, token_words
from tunesmith.text.spans import Place, Span
from tunesmith.text.tags import Scheme
from tunesmith.text.token_words import Floats, Numbers

SCHEME: Scheme = "iob2"
"""Of the tags that a model chooses among."""

EVEN = 0.5
"""The probability from which a relation is taken to hold where nothing was tuned."""

_ENTITY_COLUMNS = 5

Triple = tuple[Span, str, Span]
"""Head, name of the relation, tail."""


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
        patterns: that may hold; None: all.
    """

    types: tuple[str, ...]
    relations: tuple[str, ...]
    patterns: tuple[Pattern, ...] | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of words, in the order of the outputs."""
        return tuple(tags.labels(self.types, SCHEME))

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
        threshold: probability from which relations are taken to hold.
    """

    entities: tuple[Span, ...]
    scores: Floats
    relations: Floats
    names: tuple[str, ...]
    threshold: float = EVEN

    def held(self, threshold: float | None = None) -> list[Held]:
        """The relations from a probability on (None: the threshold), in the order of heads and tails."""
        least = self.threshold if threshold is None else threshold
        places = np.argwhere((self.relations >= least) & (self.relations > 0))
        return [
            Held(head, tail, self.names[name], float(self.relations[head, tail, name]))
            for head, tail, name in places.tolist()
        ]

    def triples(self) -> set[Triple]:
        """The relations that hold, in full."""
        return {(self.entities[head], name, self.entities[tail]) for head, tail, name, _ in self.held()}

    def over(self, entity_threshold: float) -> Found:
        """The same with only the entities of at least this probability, and what holds between them."""
        kept = np.flatnonzero(self.scores >= entity_threshold)
        entities = tuple(self.entities[place] for place in kept.tolist())
        relations = self.relations[np.ix_(kept, kept)]
        return replace(self, entities=entities, scores=self.scores[kept], relations=relations)

    def first(self, count: int) -> Found:
        """The same with only the first entities."""
        relations = self.relations[:count, :count]
        return replace(self, entities=self.entities[:count], scores=self.scores[:count], relations=relations)

    def only(self, names: Collection[str]) -> Found:
        """The same with only relations of some names."""
        kept = np.array([name in names for name in self.names])
        return replace(self, relations=self.relations * kept)

    def told(self, text: str) -> dict[str, Any]:
        """As a caller sees it: the triples that hold, likeliest first, and all entities, with their characters in the text."""
        plain = [
            {"start": start, "end": end, "type": name, "text": text[start:end]} for start, end, name in self.entities
        ]
        triples = [
            {"head": plain[one.head], "relation": one.relation, "tail": plain[one.tail], "score": one.score}
            for one in sorted(self.held(), key=lambda one: -one.score)
        ]
        scored = zip(plain, self.scores.tolist(), strict=True)
        return {"triples": triples, "entities": [{**entity, "score": score} for entity, score in scored]}

    def packed(self, types: Sequence[str]) -> Floats:
        """All in one array (M, 5 + MR): start, end, number of the type and score of each entity, the threshold, then its relations as head."""
        facts = [
            (start, end, types.index(name), score, self.threshold)
            for (start, end, name), score in zip(self.entities, self.scores.tolist(), strict=True)
        ]
        columns = np.array(facts, np.float64).reshape(-1, _ENTITY_COLUMNS)
        return np.concatenate([columns, self.relations.reshape(len(facts), len(facts) * len(self.names))], axis=1)

    @classmethod
    def unpacked(cls, packed: Any, names: Names) -> Found:
        """What ``packed`` made, as an array or as lists."""
        count = len(packed)
        if not count:
            return cls((), np.zeros(0), np.zeros((0, 0, len(names.relations))), names.relations)
        rows = np.asarray(packed, np.float64)
        facts = rows[:, :_ENTITY_COLUMNS]
        entities = tuple(Span(int(row[0]), int(row[1]), names.types[int(row[2])]) for row in facts.tolist())
        relations = rows[:, _ENTITY_COLUMNS:].reshape(count, count, len(names.relations))
        return cls(entities, facts[:, 3], relations, names.relations, float(facts[0, 4]))


def probabilities(outputs: Floats, names: Names) -> Floats:
    """Outputs of some words, (N, O + 2RK), with their tags as probabilities."""
    count = len(names.tags)
    rows = outputs.astype(np.float64)
    return np.concatenate([softmax(rows[:, :count], axis=1), rows[:, count:]], axis=1)


def find(words: Sequence[Floats], places: Sequence[Sequence[Place] | Numbers], names: Names) -> list[Found]:
    """Entities and relations of some texts.

    Args:
        words: what is given for the words of each text, as ``probabilities`` makes it.
        places: of each text's words, in characters.
        names: what the outputs stand for.
    """
    count, allowed = len(names.tags), names.allowed()
    paths = decoding.decode([rows[:, :count] for rows in words], token_words.rules(names.tags, SCHEME))
    return [_found(path, rows, where, names, allowed) for path, rows, where in zip(paths, words, places, strict=True)]


def best_threshold(found: Sequence[Found], gold: Sequence[set[Triple]], default: float = EVEN) -> float:
    """The probability from which relations are taken to hold that gives the best F1 of whole triples.

    It lies between two of the probabilities met, so that a like one falls on the same side; of equal ones the nearest to
    the default is taken. The default itself is kept where it is worse by no more than one triple, which is chance.
    """
    scored = sorted(_judged(found, gold), reverse=True)
    wanted = sum(len(row) for row in gold)
    if not wanted or not any(right for _, right in scored):
        return default
    values = np.array([score for score, _ in scored])
    hits = np.cumsum([right for _, right in scored])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + wanted)
    given = int((values >= default).sum())
    with_default = float(f1[given - 1]) if given else 0.0
    below = np.append(values[1:], 0.0)
    ends_run = values > below
    if f1[ends_run].max() <= with_default + 1 / wanted:
        return default
    best = np.flatnonzero(ends_run & (f1 >= f1[ends_run].max() - 1e-12))
    middles = (values[best] + below[best]) / 2
    return float(middles[np.abs(middles - default).argmin()])


def moved(then: Found, now: Found) -> float:
    """The largest change of a probability between two readings of a text; what one of them lacks has 0 there."""
    changes = [_largest_change(_entities(then), _entities(now))]
    both = set(then.entities) & set(now.entities)
    changes.append(_largest_change(_relations(then, both), _relations(now, both)))
    return max(changes)


def _judged(found: Sequence[Found], gold: Sequence[set[Triple]]) -> Iterator[tuple[float, bool]]:
    """The probability of every relation that may hold, and whether it is there."""
    for row, there in zip(found, gold, strict=True):
        for head, tail, name, score in row.held(0.0):
            yield score, (row.entities[head], name, row.entities[tail]) in there


def _entities(found: Found) -> dict[Any, float]:
    return dict(zip(found.entities, found.scores.tolist(), strict=True))


def _relations(found: Found, among: set[Span]) -> dict[Any, float]:
    held = ((found.entities[one.head], one.relation, found.entities[one.tail], one.score) for one in found.held(0.0))
    return {(head, name, tail): score for head, name, tail, score in held if {head, tail} <= among}


def _largest_change(then: Mapping[Any, float], now: Mapping[Any, float]) -> float:
    return max((abs(then.get(key, 0.0) - now.get(key, 0.0)) for key in then.keys() | now.keys()), default=0.0)


def _found(
    path: Numbers, rows: Floats, places: Sequence[Place] | Numbers, names: Names, allowed: NDArray[np.bool_]
) -> Found:
    marked = tags.read([names.tags[number] for number in path.tolist()])
    if not marked:
        return Found((), np.zeros(0), np.zeros((0, 0, len(names.relations))), names.relations)
    chances, *vectors = parts(rows, len(names.tags), len(names.relations))
    chosen = np.take_along_axis(chances, path[:, None], 1)[:, 0]
    scores = np.array([chosen[start:end].mean() for start, end, _ in marked])
    where = [(int(start), int(end)) for start, end in places]
    heads, tails = (np.stack([side[start:end].mean(0) for start, end, _ in marked]) for side in vectors)
    relations = expit(pair_scores(heads[:, None], tails[None]))
    numbers = [names.types.index(span.type) for span in marked]
    relations *= allowed[np.ix_(numbers, numbers)]
    relations[np.diag_indices(len(marked))] = 0.0
    return Found(tuple(spans.in_characters(where, marked)), scores, relations, names.relations)
