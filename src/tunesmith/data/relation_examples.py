"""Encoded rows of marked pairs, and of texts with entities and relations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import softmax

from tunesmith.data import batch, relation_rows
from tunesmith.data.examples import Examples, TokenExamples, encode_texts
from tunesmith.data.relation_rows import Truth
from tunesmith.outputs import IGNORED, PAIR_COLUMNS
from tunesmith.text import token_words
from tunesmith.text.answer_spans import Window
from tunesmith.text.encode import Encoded
from tunesmith.text.spans import Place, Span
from tunesmith.text.token_words import Floats, Numbers, Units, words_of
from tunesmith.text.triples import SCHEME, Names, probabilities

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.config import Model


class MarkedExamples(Examples):
    """Texts in which two mentions are marked.

    Of the windows of a long text only those teach and answer that show most of the mentions.

    Args:
        encoded: the texts as a model reads them, with offsets.
        pad_id: as for ``Examples``.
        places: of both mentions in each text, start, end, start, end, int (rows, 4).
        targets: label number of each row.

    Attributes:
        telling: whether a sequence is such a window; bool (sequences,).
    """

    def __init__(self, encoded: Encoded, pad_id: int, places: Numbers, targets: Numbers | None = None) -> None:
        super().__init__([encoded], pad_id, targets)
        self._starts, self._ends = encoded.lists("starts"), encoded.lists("ends")
        self._places = places
        self.telling = self._telling()

    def arrays(self, indices: Numbers) -> dict[str, np.ndarray]:
        """As of ``Examples``, with ``marks`` (B, T): 1 at tokens of the first mention, 2 of the second, 3 of both."""
        return {**super().arrays(indices), "marks": batch.stacked(self.marks(indices), 0)["input_ids"]}

    def marks(self, indices: Numbers) -> list[Numbers]:
        """The marks of some sequences, each (its tokens,)."""
        return [
            ((starts < place[1]) & (ends > place[0])) * 1 + ((starts < place[3]) & (ends > place[2])) * 2
            for starts, ends, place in zip(
                self._starts.take(indices), self._ends.take(indices), self._places[self.rows[indices]], strict=True
            )
        ]

    def targets_of(self, indices: Numbers) -> Tensor:
        """Label numbers of some sequences, ``IGNORED`` where they tell nothing."""
        import torch

        return super().targets_of(indices).masked_fill(torch.from_numpy(~self.telling[indices]), IGNORED)

    def by_row(self, outputs: Sequence[Floats]) -> Floats:
        """Outputs of each sequence (O,) as probabilities of each row (rows, O): the mean over the windows that tell."""
        chances = softmax(np.stack(outputs).astype(np.float64), axis=1)[self.telling]
        own = self.rows[self.telling]
        sums = np.zeros((self.row_count, chances.shape[1]))
        np.add.at(sums, own, chances)
        found: Floats = sums / np.bincount(own, minlength=self.row_count)[:, None]
        return found

    def weight(self, indices: Numbers) -> float:
        """How many of some sequences tell something."""
        return max(1.0, float(self.telling[indices].sum()))

    def shows_both(self) -> NDArray[np.bool_]:
        """Whether some window of a text shows both mentions; bool (rows,)."""
        most = np.zeros(self.row_count, np.int64)
        np.maximum.at(most, self.rows, self._shown())
        return np.asarray(most == 2)

    def _shown(self) -> Numbers:
        return np.array([_shown(marks) for marks in self.marks(np.arange(len(self)))], np.int64)

    def _telling(self) -> NDArray[np.bool_]:
        if len(self) == self.row_count:
            return np.ones(len(self), bool)
        covered = np.array([np.count_nonzero(marks) for marks in self.marks(np.arange(len(self)))])
        shown = self._shown() * (covered.max(initial=0) + 1) + covered  # both mentions first, then most of their tokens
        most = np.zeros(self.row_count, np.int64)
        np.maximum.at(most, self.rows, shown)
        return np.asarray(shown == most[self.rows])


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

    Attributes:
        units: of each text, see ``token_words``.
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
        self.units = list(token_words.units(encoded, words))
        if truths is None or names is None:
            super().__init__([encoded], pad_id)
            return
        random = np.random.default_rng(seed)
        tags: list[Numbers] = []
        self._pairs: list[Numbers] = []
        for text, truth in zip(self.units, truths, strict=True):
            known = [span for span in truth.entities if span.type in names.types]
            tags += token_words.targets(text, token_words.labels(text, known, names.tags, SCHEME))
            self._pairs += (_sampled(pairs, most_unrelated, random) for pairs in _pairs_of_windows(text, truth, names))
        super().__init__([encoded], pad_id, tags)

    def by_word(self, outputs: Sequence[Floats], names: Names) -> list[Floats]:
        """Outputs of each sequence, (tokens, O + 2RK), as those of each text's units, the tags as probabilities."""
        sequences = iter(outputs)
        return [
            token_words.joined(
                text, [probabilities(next(sequences)[text.positions(window)], names) for window in text.windows]
            )
            for text in self.units
        ]

    def targets_of(self, indices: Numbers) -> Tensor:
        """Targets of some sequences (B, T + P(4 + R)), int64; see ``heads.relations.triple_loss``."""
        import torch

        pairs = [self._pairs[index] for index in indices.tolist()]
        most = max(len(rows) for rows in pairs)
        padded = np.full((len(pairs), most, pairs[0].shape[1]), IGNORED, np.int64)
        for place, rows in zip(padded, pairs, strict=True):
            place[: len(rows)] = rows
        return torch.cat([super().targets_of(indices), torch.from_numpy(padded).flatten(1)], dim=1)


def encode_pairs(
    rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, labels: Sequence[str] | None = None
) -> MarkedExamples:
    """Canonical rows of marked pairs, with the numbers of their labels where these are to be learned.

    Raises:
        DataError: a label is not among those; it names the rows.
    """
    read, places = relation_rows.as_read(rows, folder / "read.arrow")
    encoded = encode_texts(read, tokenizer, reading, folder, offsets=True)
    numbers = None if labels is None else relation_rows.label_numbers(rows, labels)
    return MarkedExamples(encoded, tokenizer.pad_token_id, places, numbers)


def encode_triples(
    rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, names: Names | None = None, *, most_unrelated: int
) -> TripleExamples:
    """Canonical rows of triples, with what they hold where this is to be learned; see ``TripleExamples``."""
    encoded = encode_texts(rows, tokenizer, reading, folder, offsets=True)
    words = [words_of(*row) for row in zip(rows["text"].to_pylist(), rows["tokens"].to_pylist(), strict=True)]
    truths = None if names is None else list(relation_rows.truths(rows))
    return TripleExamples(encoded, tokenizer.pad_token_id, words, truths, names, most_unrelated=most_unrelated)


def read_together(text: Units, spans: Sequence[Span]) -> bool:
    """Whether some window of a text shows all of some entities."""
    # Entities may touch the same unit, so each is looked for alone.
    return any(all(_places(text, window, [span]) for span in spans) for window in text.windows)


def _shown(marks: Numbers) -> int:
    """How many of both mentions a window shows."""
    return int((marks & 1).any()) + int((marks & 2).any())


def _places(text: Units, window: Window, entities: Sequence[Span]) -> dict[int, tuple[int, int]]:
    """First token and the one after the last, in a window's sequence, of the entities that it holds whole, by number."""
    numbered = [Span(start, end, str(number)) for number, (start, end, _) in enumerate(entities)]
    inside, positions = text.inside(window), text.positions(window)
    place = dict(zip(inside.tolist(), positions.tolist(), strict=True))
    return {
        int(span.type): (place[span.start], place[span.end - 1] + 1)
        for span in token_words.touched(text, numbered)
        if all(unit in place for unit in range(span.start, span.end))
    }


def _pairs_of_windows(text: Units, truth: Truth, names: Names) -> Iterator[Numbers]:
    """Of each window, every two entities that are wholly there, as ``outputs.PAIR_COLUMNS`` says, (P, 4 + R)."""
    for window in text.windows:
        places = _places(text, window, truth.entities)
        known = [number for number in places if truth.entities[number].type in names.types]
        both = [(head, tail) for head in known for tail in known if head != tail]
        line = {pair: number for number, pair in enumerate(both)}
        rows = np.zeros((len(both), PAIR_COLUMNS + len(names.relations)), np.int64)
        for head, tail in both:
            rows[line[head, tail], :PAIR_COLUMNS] = (*places[head], *places[tail])
        for head, tail, name in truth.relations:
            if (head, tail) in line and name in names.relations:
                rows[line[head, tail], PAIR_COLUMNS + names.relations.index(name)] = 1
        yield rows


def _sampled(pairs: Numbers, most_unrelated: int, random: np.random.Generator) -> Numbers:
    """All related pairs, and some of the others."""
    related = pairs[:, PAIR_COLUMNS:].any(1)
    others = np.flatnonzero(~related)
    if len(others) > most_unrelated:
        others = random.choice(others, most_unrelated, replace=False)
    chosen: Numbers = pairs[np.sort(np.concatenate([np.flatnonzero(related), others]))]
    return chosen
