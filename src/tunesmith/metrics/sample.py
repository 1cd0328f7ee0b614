"""Predictions seen through weights: what one score, a bootstrap draw and a swap of two models have in common."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.predictions import Array, Predictions


class Sample:
    """Predictions seen through weights.

    Args:
        rows: the predictions.
        weights: ``(draws, n)``, how often each row counts in each draw.
    """

    def __init__(self, rows: Predictions, weights: Array) -> None:
        self.rows = rows
        self.weights = weights

    @cached_property
    def total(self) -> Array:
        """``(draws,)`` sum of weights."""
        return np.asarray(self.weights.sum(axis=1))

    @cached_property
    def actual(self) -> Array:
        """``(draws, labels)`` rows that have the label."""
        return self._tally(self.rows.targets)

    @cached_property
    def predicted(self) -> Array:
        """``(draws, labels)`` rows predicted to have the label."""
        return self._tally(self.rows.predicted)

    @cached_property
    def hits(self) -> Array:
        """``(draws, labels)`` rows that have the label and are predicted to."""
        if self.rows.kind == "multi-label":
            return self._tally(self.rows.targets * self.rows.predicted)
        return sums(self.rows.targets, self.weights * self.rows.correct, len(self.rows.labels))

    @property
    def counted(self) -> NDArray[np.bool_]:
        """``(draws, labels)`` labels in a macro mean: all, but for those that only this draw happened to miss."""
        return np.asarray((self.actual + self.predicted > 0) | ~self.rows.seen)

    def mean(self, values: Array) -> Array:
        """``(draws,)`` weighted mean of one value a row."""
        return np.asarray(self.weights @ values / self.total)

    def _tally(self, marks: NDArray[np.int64]) -> Array:
        if self.rows.kind == "multi-label":
            return np.asarray(self.weights @ marks.astype(np.float64))
        return sums(marks, self.weights, len(self.rows.labels))


def sums(groups: NDArray[np.int64], weights: Array, count: int) -> Array:
    """``(draws, count)`` sum of each draw's weights in each group."""
    return np.stack([np.bincount(groups, row, minlength=count) for row in weights])
