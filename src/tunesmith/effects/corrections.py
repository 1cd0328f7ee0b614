"""Corrections of p-values for how many questions were asked of the same data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def holm(p_values: Sequence[float] | Array) -> Array:
    """Adjusted p-values that bound the chance of any false alarm, whatever the tests have in common (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    found = np.asarray(p_values, np.float64)
    order = np.argsort(found, kind="stable")
    steps = found[order] * np.arange(len(found), 0, -1)
    return _placed(np.maximum.accumulate(steps), order)


def benjamini_hochberg(p_values: Sequence[float] | Array) -> Array:
    """Adjusted p-values that bound the share of false ones among the alarms (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    found = np.asarray(p_values, np.float64)
    order = np.argsort(found, kind="stable")
    steps = found[order] * len(found) / np.arange(1, len(found) + 1)
    return _placed(np.minimum.accumulate(steps[::-1])[::-1], order)


def _placed(adjusted: Array, order: NDArray[np.int64]) -> Array:
    """The values of the sorted tests, in the order of the tests."""
    found = np.empty(len(order))
    found[order] = np.minimum(adjusted, 1)
    return found
