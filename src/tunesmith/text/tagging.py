"""The labels that are chosen for a text's words, and how sure a model is of the spans that they mark.

Shapes: N units of a text (see ``token_words``), O labels, of which the first is "outside".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions.calibration import Pairs, calibrated, uncalibrated
from tunesmith.metrics.reliability import Trust, reliability
from tunesmith.text import decoding, tags, token_words
from tunesmith.text.decoding import Rules
from tunesmith.text.spans import Span
from tunesmith.text.tags import Aggregation, Scheme
from tunesmith.text.token_words import Units

Floats = NDArray[np.floating]
Numbers = NDArray[np.int64]

EVEN = 0.5
"""The probability from which a word may be in a span where nothing was tuned: that of the likelier side."""

_COLUMNS = 3  # start, end, chosen label
_TRIED = tuple(1 / (1 + math.exp(-place / 4)) for place in range(-12, 13))
_WORTH = 0.002
_AGGREGATIONS: dict[Aggregation, Callable[[Floats], float]] = {
    "mean": lambda scores: float(scores.mean()),
    "average": lambda scores: float(scores.mean()),
    "min": lambda scores: float(scores.min()),
    "max": lambda scores: float(scores.max()),
    "product": lambda scores: float(scores.prod()),
    "first": lambda scores: float(scores[0]),
    "simple": lambda scores: float(scores.mean()),
    "none": lambda scores: float(scores.mean()),
}
assert tuple(_AGGREGATIONS) == get_args(Aggregation)


@dataclass(frozen=True, eq=False)
class Tagged:
    """One text with the labels chosen for it.

    Args:
        places: first character and the one after the last of each unit; int, shape (N, 2).
        chosen: number of each unit's label; int, shape (N,).
        probabilities: of each label at each unit; shape (N, O).
    """

    places: Numbers
    chosen: Numbers
    probabilities: Floats

    def packed(self) -> Floats:
        """All in one array, shape (N, 3 + O)."""
        columns = [self.places, self.chosen[:, None], self.probabilities]
        return np.concatenate(columns, axis=1, dtype=np.float64)

    @classmethod
    def unpacked(cls, packed: Floats) -> Tagged:
        """What ``packed`` made."""
        return cls(packed[:, :2].astype(np.int64), packed[:, 2].astype(np.int64), packed[:, _COLUMNS:])

    def marked(self, names: Sequence[str]) -> list[Span]:
        """The spans that the labels mark, in numbers of units."""
        return tags.read([names[number] for number in self.chosen.tolist()])

    def spans(self, names: Sequence[str]) -> list[Span]:
        """The spans that the labels mark, in characters of the text."""
        return [Span(*self._characters(span), span.type) for span in self.marked(names)]

    def scored(self, names: Sequence[str], aggregation: Aggregation = "mean") -> list[tuple[Span, float]]:
        """The spans in characters, each with its score: the probabilities of its labels, taken together."""
        sure, join = self._sure, _AGGREGATIONS[aggregation]
        return [
            (Span(*self._characters(span), span.type), join(sure[span.start : span.end])) for span in self.marked(names)
        ]

    def kept(
        self,
        names: Sequence[str],
        *,
        threshold: float = 0.0,
        aggregation: Aggregation = "mean",
        types: Collection[str] | None = None,
    ) -> Tagged:
        """The same with only the spans of at least this score and, where types are given, of these types."""
        if not threshold and types is None:
            return self
        if aggregation == "none":
            return self._kept_words(names, threshold, types)
        chosen = self.chosen.copy()
        scored = zip(self.marked(names), self.scored(names, aggregation), strict=True)
        for span, (_, score) in scored:
            if score < threshold or (types is not None and span.type not in types):
                chosen[span.start : span.end] = 0
        return replace(self, chosen=chosen)

    def words(self, text: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Every unit with its own label and how sure it is, as a caller sees it."""
        rows = zip(self.places.tolist(), self.chosen.tolist(), self._sure.tolist(), strict=True)
        return [
            {"start": start, "end": end, "text": text[start:end], "label": names[number], "score": score}
            for (start, end), number, score in rows
        ]

    def calibrated(self, pairs: Pairs) -> Tagged:
        """The same with other probabilities, see ``calibration.calibrated``."""
        return replace(self, probabilities=calibrated(self.probabilities, pairs, exclusive=True))

    def uncalibrated(self, pairs: Pairs) -> Tagged:
        """What ``calibrated`` was made of."""
        return replace(self, probabilities=uncalibrated(self.probabilities, pairs, exclusive=True))

    @property
    def _sure(self) -> NDArray[np.float64]:
        """The probability of each unit's label, (N,)."""
        return np.take_along_axis(self.probabilities, self.chosen[:, None], 1)[:, 0].astype(np.float64)

    def _kept_words(self, names: Sequence[str], threshold: float, types: Collection[str] | None) -> Tagged:
        wanted = np.array([types is None or tags.parse(name)[1] in types for name in names])
        return replace(self, chosen=np.where(wanted[self.chosen] & (self._sure >= threshold), self.chosen, 0))

    def _characters(self, span: Span) -> tuple[int, int]:
        return int(self.places[span.start, 0]), int(self.places[span.end - 1, 1])


def choose(
    places: Sequence[Numbers], probabilities: Sequence[Floats], rules: Rules | None, threshold: float = EVEN
) -> list[Tagged]:
    """The likeliest legal labels of some texts.

    Args:
        places: of each text's units, (N, 2).
        probabilities: of each text, (N, O).
        rules: which label may follow which; None: each unit has its own likeliest label.
        threshold: t: a word is inside a span from this probability on. The odds of "outside" are multiplied by
            t / (1 - t) first, so that with two labels the likelier one is "inside" exactly from t on.
    """
    weighed = [_weighed(row, threshold) for row in probabilities]
    chosen = [row.argmax(1) for row in weighed] if rules is None else decoding.decode(weighed, rules)
    return [Tagged(*row) for row in zip(places, chosen, probabilities, strict=True)]


def best_threshold(
    texts: Sequence[Tagged], gold: Sequence[Sequence[Span]], names: Sequence[str], rules: Rules
) -> float:
    """The threshold of ``choose`` with the best F1 of whole spans.

    Of those that are nearly as good the one nearest to a half is taken, for a gain of less than 0.002 is chance.
    """
    places, probabilities = [text.places for text in texts], [text.probabilities for text in texts]
    wanted = [set(row) for row in gold]
    scores = {}
    for threshold in _TRIED:
        found = [set(text.spans(names)) for text in choose(places, probabilities, rules, threshold)]
        hits = sum(len(right & row) for right, row in zip(wanted, found, strict=True))
        scores[threshold] = 2 * hits / max(1, sum(map(len, wanted)) + sum(map(len, found)))
    best = max(scores.values())
    return min((t for t in _TRIED if scores[t] >= best - _WORTH), key=lambda t: abs(t - EVEN))


def words(
    texts: Sequence[Tagged], gold: Sequence[Sequence[Span]], names: Sequence[str], scheme: Scheme
) -> tuple[Floats, Numbers]:
    """The units of all texts that were read: probabilities of their labels (N, O), and the number of the true one (N,)."""
    units = (Units(text.places, np.arange(len(text.places)), ()) for text in texts)
    truths = [token_words.labels(text, row, names, scheme) for text, row in zip(units, gold, strict=True)]
    probabilities, truth = np.concatenate([text.probabilities for text in texts]), np.concatenate(truths)
    was_read = probabilities[:, 0] < 1
    return probabilities[was_read], truth[was_read]


def trust(texts: Sequence[Tagged], gold: Sequence[Sequence[Span]], names: Sequence[str], pairs: Pairs) -> Trust | None:
    """How far the scores of the spans found can be trusted, with a calibration and without; None if there is none."""
    if not pairs:
        return None
    after = [sure for text in texts for sure in text.scored(names)]
    before = [sure for text in texts for sure in text.uncalibrated(pairs).scored(names)]
    right = [span in row for text, row in zip(texts, map(set, gold), strict=True) for span in text.spans(names)]
    sure, unsure = (np.array([score for _, score in found]) for found in (after, before))
    return Trust(reliability(unsure, np.array(right)), reliability(sure, np.array(right)))


def moved(then: Sequence[Sequence[float]], now: Sequence[Sequence[float]]) -> float:
    """The largest change of a probability between two packed texts; 1 where their words are not the same."""
    if len(then) != len(now):
        return 1.0
    if not len(then):
        return 0.0
    before, after = np.asarray(then, np.float64), np.asarray(now, np.float64)
    if before.shape != after.shape or (before[:, :2] != after[:, :2]).any():
        return 1.0
    return float(np.abs(before[:, _COLUMNS:] - after[:, _COLUMNS:]).max(initial=0.0))


def _weighed(probabilities: Floats, threshold: float) -> Floats:
    if threshold == EVEN:
        return probabilities
    weighed = probabilities.copy()
    weighed[:, 0] *= threshold / (1 - threshold)
    return weighed
