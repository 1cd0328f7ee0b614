"""Thresholds of labels that exclude one another: the answer is the label whose probability is the largest multiple of its own.

They are tuned for a metric on validation rows, where the likeliest label is not the best answer: macro-F1 wants rare
labels more often. With two labels whose thresholds sum to 1 it is the usual threshold of a probability.

Shapes: N rows, O labels, C candidates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics import Predictions, paired_test
from tunesmith.metrics.predictions import Array
from tunesmith.metrics.registry import METRICS
from tunesmith.metrics.sample import Draws

Numbers = NDArray[np.int64]

_CANDIDATES = np.linspace(-2, 2, 17)  # of the log of a label's weight, the inverse of its threshold
_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the tuned log weights that are kept
_PASSES = 3
_FOLDS = 5
_CHANCE = 0.2  # two-sided, so that one gain in ten that is kept is chance
_SMALLEST = float(np.finfo(np.float64).tiny)


class Candidates(Draws):
    """What each of some ways to answer the same rows counts, so that metrics score them all at once.

    Args:
        truth: label numbers (N,).
        given: label numbers by each way (C, N).
        labels: O.
    """

    def __init__(self, truth: Numbers, given: Numbers, labels: int) -> None:
        ways, rows = given.shape
        first = np.arange(ways)[:, None] * labels
        cells = (first + given).ravel()
        self.total = np.full(ways, float(rows))
        self._predicted, self._hits = (
            np.asarray(np.bincount(cells, counts, minlength=ways * labels).reshape(ways, labels), np.float64)
            for counts in (np.ones(len(cells)), (given == truth).ravel())
        )
        self._actual: Array = np.tile(np.bincount(truth, minlength=labels).astype(np.float64), (ways, 1))

    @property
    def actual(self) -> Array:
        """``(C, O)`` rows that have the label."""
        return self._actual

    @property
    def predicted(self) -> Array:
        """``(C, O)`` rows that are given the label."""
        return self._predicted

    @property
    def hits(self) -> Array:
        """``(C, O)`` rows that have the label and are given it."""
        return self._hits

    @property
    def counted(self) -> NDArray[np.bool_]:
        """``(C, O)`` all labels count in a macro mean."""
        return np.ones(self._hits.shape, bool)


def tuned(chances: NDArray[Any], truth: Numbers, metric: str, labels: tuple[str, ...], seed: int = 0) -> Array:
    """Thresholds (O,), which sum to 1, or nothing (0,) where tuning gains no more than chance does.

    The weights that do best are shrunk towards 1 by the share that does best on rows that they were not tuned on, in five
    folds; they are kept if there the paired test of the gain over the likeliest label has a p-value of at most 0.2.

    Args:
        chances: (N, O).
        truth: label numbers (N,).
        metric: one that only counts, such as ``f1_macro`` or ``mcc``.
        labels: their names.
        seed: of the folds and the test.
    """
    odds = np.log(np.maximum(chances, _SMALLEST))
    if len(odds) < 2 * _FOLDS:
        return np.zeros(0)
    folds = np.random.default_rng(seed).permutation(len(odds)) % _FOLDS
    apart = np.zeros_like(odds)
    for fold in range(_FOLDS):
        apart[folds == fold] = _best_weights(odds[folds != fold], truth[folds != fold], metric)
    ways = np.stack([(odds + share * apart).argmax(1) for share in (0.0, *_SHARES)])
    scores = METRICS["multi-class", metric].formula(Candidates(truth, ways, len(labels)))
    best = int(scores.argmax())
    if best == 0 or not _is_real(ways[0], ways[best], chances, truth, metric, labels, seed):
        return np.zeros(0)
    inverse = np.exp(-_SHARES[best - 1] * _best_weights(odds, truth, metric))
    return np.asarray(inverse / inverse.sum())


def _is_real(
    plain: Numbers,
    weighed: Numbers,
    chances: NDArray[Any],
    truth: Numbers,
    metric: str,
    labels: tuple[str, ...],
    seed: int,
) -> bool:
    """Whether the answers of the second kind are better than those of the first by more than chance."""
    texts, lengths = [""] * len(truth), np.zeros(len(truth))
    a, b = (Predictions("multi-class", labels, truth, chances, given, texts, lengths) for given in (plain, weighed))
    return paired_test(a, b, metric, seed=seed).p_value <= _CHANCE


def _best_weights(odds: Array, truth: Numbers, metric: str) -> Array:
    """Log weights (O,) with the best score, found label by label; where several are as good, the one nearest to 0."""
    labels = odds.shape[1]
    weights, formula = np.zeros(labels), METRICS["multi-class", metric].formula
    nearest_first = _CANDIDATES[np.argsort(np.abs(_CANDIDATES), kind="stable")]
    for _ in range(_PASSES):
        before = weights.copy()
        for label in range(labels):
            others = odds + weights
            others[:, label] = -np.inf
            rival = others.argmax(1)
            needed = np.take_along_axis(others, rival[:, None], 1)[:, 0] - odds[:, label]
            given = np.where(needed < nearest_first[:, None], label, rival)
            scores = formula(Candidates(truth, given, labels))
            weights[label] = nearest_first[int(scores.argmax())]
        if (weights == before).all():
            break
    return weights
