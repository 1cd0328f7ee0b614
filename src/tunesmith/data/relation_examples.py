"""Encoded rows of marked pairs, and of texts with entities and relations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunesmith import spans, tags, triples
from tunesmith.data import batch
from tunesmith.data.examples import Examples, TokenExamples
from tunesmith.data.relation_rows import Truth
from tunesmith.heads import IGNORED
from tunesmith.relation_heads import PAIR_COLUMNS
from tunesmith.spans import Place
from tunesmith.text import Encoded
from tunesmith.triples import Floats, Names

Numbers = NDArray[np.integer]


class MarkedExamples(Examples):
    """Texts in which two mentions are marked.

    Args:
        encoded: the texts as a model reads them, with offsets.
        pad_id: as for ``Examples``.
        places: of both mentions in each text, start, end, start, end, int (rows, 4).
        targets: label number of each row.
    """

    def __init__(self, encoded: Encoded, pad_id: int, places: Numbers, targets: Numbers | None = None) -> None:
        super().__init__([encoded], pad_id, targets)
        self._starts, self._ends = encoded.lists("starts"), encoded.lists("ends")
        self._places = places

    def collate(self, indices: Numbers) -> dict[str, Tensor]:
        """As of ``Examples``, with ``marks`` (B, T): 1 at tokens of the first mention, 2 of the second, 3 of both."""
        inputs = super().collate(indices)
        if "features" not in inputs:
            inputs["marks"] = batch.pad(self.marks(indices), 0)["input_ids"]
        return inputs

    def marks(self, indices: Numbers) -> list[Numbers]:
        """The marks of some sequences, each (its tokens,)."""
        return [
            ((starts < place[1]) & (ends > place[0])) * 1 + ((starts < place[3]) & (ends > place[2])) * 2
            for starts, ends, place in zip(
                self._starts.take(indices), self._ends.take(indices), self._places[self.rows[indices]], strict=True
            )
        ]

    def telling(self) -> NDArray[np.bool_]:
        """Of the windows of each text, those that show most of the two mentions; bool (sequences,)."""
        shown = np.array([len(np.unique(marks[marks > 0])) for marks in self.marks(np.arange(len(self)))])
        most = np.zeros(self.row_count, np.int64)
        np.maximum.at(most, self.rows, shown)
        found: NDArray[np.bool_] = shown == most[self.rows]
        return found


class TripleExamples(TokenExamples):
    """Texts with the tags of their words and the relations between their entities.

    Args:
        encoded: the texts, with offsets.
        pad_id: as for ``Examples``.
        words: where the words of each text stand.
        truths: of each text; None where only answers are wanted.
        names: of what is to be learned; what bears other names is not.
        most_unrelated: most pairs of entities without a relation that are learned from, in each sequence.
        seed: draws these.
    """

    def __init__(
        self,
        encoded: Encoded,
        pad_id: int,
        words: Sequence[Sequence[Place]],
        truths: Sequence[Truth] | None = None,
        names: Names | None = None,
        *,
        most_unrelated: int = 100,
        seed: int = 0,
    ) -> None:
        self.words = words
        self._starts, self._ends = encoded.lists("starts"), encoded.lists("ends")
        rows = encoded.rows.tolist()
        if truths is None or names is None:
            super().__init__([encoded], pad_id)
            return
        self._pairs: list[Numbers] = []
        labels, random = [], np.random.default_rng(seed)
        for index, row in enumerate(rows):
            tokens = self.word_tokens(index, row)
            labels.append(_tags_of_tokens(truths[row], words[row], tokens, int(encoded.lengths[index]), names))
            pairs = _pairs(truths[row], words[row], tokens, names)
            self._pairs.append(_sampled(pairs, most_unrelated, random))
        super().__init__([encoded], pad_id, labels)

    def word_tokens(self, index: int, row: int) -> Numbers:
        """The token of a sequence with which each word of its text begins, int (words,); -1 where it is not there."""
        starts, ends = self._starts.take([index])[0], self._ends.take([index])[0]
        own = np.flatnonzero(ends > starts)
        if not len(own) or not len(self.words[row]):
            return np.full(len(self.words[row]), -1)
        begins = np.array(self.words[row])[:, 0]
        last = np.searchsorted(starts[own], begins, side="right") - 1
        first = np.searchsorted(starts[own], starts[own][np.maximum(last, 0)], side="left")
        there = (last >= 0) & (ends[own][first] > begins)
        return np.where(there, own[first], -1)

    def by_word(self, outputs: Sequence[Floats]) -> list[Floats]:
        """Outputs of each sequence as outputs of each text's words; see ``triples.by_word``."""
        windows: list[list[int]] = [[] for _ in range(self.row_count)]
        for index, row in enumerate(self.rows.tolist()):
            windows[row].append(index)
        return [
            triples.by_word(
                [outputs[index] for index in of_row], [self.word_tokens(index, row) for index in of_row], len(words)
            )
            for row, (of_row, words) in enumerate(zip(windows, self.words, strict=True))
        ]

    def targets_of(self, indices: Numbers) -> Tensor:
        """Targets of some sequences (B, T + P(4 + R)), int64; see ``relation_heads.triple_loss``."""
        pairs = [self._pairs[index] for index in indices.tolist()]
        most = max(len(rows) for rows in pairs)
        padded = np.full((len(pairs), most, pairs[0].shape[1]), IGNORED, np.int64)
        for place, rows in zip(padded, pairs, strict=True):
            place[: len(rows)] = rows
        return torch.cat([super().targets_of(indices), torch.from_numpy(padded).flatten(1)], dim=1)


def _tags_of_tokens(truth: Truth, words: Sequence[Place], tokens: Numbers, length: int, names: Names) -> Numbers:
    """Number of the tag of each token, (length,); ``IGNORED`` where no word begins."""
    known = [span for span in truth.entities if span.type in names.types]
    number = {tag: place for place, tag in enumerate(names.tags)}
    written = tags.write(spans.cut_words(words, known), len(words))
    labels = np.full(length, IGNORED)
    there = tokens >= 0
    # A token of several words has the tag of the first, so they are written from the last to the first.
    labels[tokens[there][::-1]] = np.array([number[tag] for tag in written], np.int64)[there][::-1]
    return labels


def _pairs(truth: Truth, words: Sequence[Place], tokens: Numbers, names: Names) -> Numbers:
    """Every two entities of a sequence that are wholly there, as ``relation_heads.PAIR_COLUMNS`` says, (P, 4 + R)."""
    places: dict[int, tuple[int, int]] = {}
    for number, entity in enumerate(truth.entities):
        cut = spans.cut_words(words, [entity])
        inside = tokens[cut[0].start : cut[0].end] if cut and entity.type in names.types else np.zeros(0, int)
        if len(inside) and (inside >= 0).all():
            places[number] = (int(inside[0]), int(inside[-1]) + 1)
    both = [(head, tail) for head in places for tail in places if head != tail]
    rows = np.zeros((len(both), PAIR_COLUMNS + len(names.relations)), np.int64)
    line = {pair: number for number, pair in enumerate(both)}
    for head, tail in both:
        rows[line[head, tail], :PAIR_COLUMNS] = (*places[head], *places[tail])
    for head, tail, name in truth.relations:
        if (head, tail) in line and name in names.relations:
            rows[line[head, tail], PAIR_COLUMNS + names.relations.index(name)] = 1
    return rows


def _sampled(pairs: Numbers, most_unrelated: int, random: np.random.Generator) -> Numbers:
    """All related pairs, and some of the others."""
    related = pairs[:, PAIR_COLUMNS:].any(1)
    others = np.flatnonzero(~related)
    if len(others) > most_unrelated:
        others = random.choice(others, most_unrelated, replace=False)
    return pairs[np.sort(np.concatenate([np.flatnonzero(related), others]))]
