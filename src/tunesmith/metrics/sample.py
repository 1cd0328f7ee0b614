"""Predictions seen through weights: what one score, a bootstrap draw and a swap of two models have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.counted import Counted, place
from tunesmith.metrics.predictions import Array, Predictions


class Draws(ABC):
    """What is counted of each label in each draw, whatever the predictions are."""

    @property
    @abstractmethod
    def actual(self) -> Array:
        """``(draws, labels)`` how often the label is right."""

    @property
    @abstractmethod
    def predicted(self) -> Array:
        """``(draws, labels)`` how often the label was given."""

    @property
    @abstractmethod
    def hits(self) -> Array:
        """``(draws, labels)`` how often the label was given and is right."""

    @property
    @abstractmethod
    def counted(self) -> NDArray[np.bool_]:
        """``(draws, labels)`` labels in a macro mean."""


class Sample(Draws):
    """Labels or numbers seen through weights.

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


class Totals(Draws):
    """Counted predictions as sums over the rows of each draw.

    Args:
        rows: the predictions.
        sums: ``(draws, columns)`` sums of the statistics.
        total: ``(draws,)`` number of rows.
    """

    def __init__(self, rows: Counted, sums: Array, total: Array) -> None:
        self.rows = rows
        self.total = total
        self._sums = sums

    def sum(self, column: str) -> Array:
        """``(draws,)`` sum of a column; ``(draws, labels)`` of one that is counted for each label."""
        return self._sums[:, place(self.rows.kind, len(self.rows.labels), column)]

    def mean(self, column: str) -> Array:
        """``(draws,)`` mean of a column over the rows."""
        return np.asarray(self.sum(column) / self.total)

    @property
    def actual(self) -> Array:
        """``(draws, labels)`` spans or relations of the type that are there."""
        return self.sum("gold")

    @property
    def predicted(self) -> Array:
        """``(draws, labels)`` spans or relations of the type that were found."""
        return self.sum("found")

    @property
    def hits(self) -> Array:
        """``(draws, labels)`` spans or relations of the type that were found and are there."""
        return self.sum("hits")

    @property
    def counted(self) -> NDArray[np.bool_]:
        """``(draws, labels)`` types in a macro mean: those that are there or were found, as seqeval has it."""
        return np.asarray(self.actual + self.predicted > 0)


def sampled(rows: Predictions | Counted, weights: Array) -> Sample | Totals:
    """Predictions of either form seen through ``(draws, n)`` weights."""
    if isinstance(rows, Counted):
        return Totals(rows, weights @ rows.statistics, np.asarray(weights.sum(axis=1)))
    return Sample(rows, weights)


def row_by_row(rows: Counted) -> Totals:
    """Each row as a draw of its own, for scores of single rows."""
    return Totals(rows, rows.statistics, np.ones(len(rows)))


def sums(groups: NDArray[np.int64], weights: Array, count: int) -> Array:
    """``(draws, count)`` sum of each draw's weights in each group."""
    return np.stack([np.bincount(groups, row, minlength=count) for row in weights])
