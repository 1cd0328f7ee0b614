"""Bootstrap intervals over rows, of means and of anything else that is a function of weighted rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with the values that the data allow.

    Args:
        estimate: the value on the rows as they are.
        low: lower end; minus infinity where the rows allow no interval.
        high: upper end.
        confidence: share of such intervals that hold the true value.
    """

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def is_above_0(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def is_below_0(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


def weights(rows: int, resamples: int, random: np.random.Generator) -> Array:
    """``(resamples, rows)``: how often each row counts in each draw with replacement (Efron 1979)."""
    return random.multinomial(rows, np.full(rows, 1 / rows), size=resamples).astype(np.float64)


def of_draws(estimate: float, draws: Array, rows: int, confidence: float = 0.95) -> Interval:
    """The expanded percentile interval (Hesterberg 2015, "What Teachers Should Know about the Bootstrap", section 5).

    The plain percentile interval is too short for few rows, by the factor ``sqrt((n - 1) / n)`` and by the difference
    between the normal and Student's distribution; its percentiles are moved out by both.

    Args:
        estimate: the value on the rows as they are.
        draws: ``(resamples,)`` the value in each draw of the rows; undefined ones are NaN and left out.
        rows: how many rows were drawn.
        confidence: in (0, 1).

    Returns:
        An interval without ends where there are fewer than 2 rows, or most draws leave the value undefined.
    """
    defined = draws[np.isfinite(draws)]
    if rows < 2 or len(defined) <= len(draws) / 2:
        return Interval(estimate, -math.inf, math.inf, confidence)
    reach = math.sqrt(rows / (rows - 1)) * float(stats.t.ppf((1 + confidence) / 2, rows - 1))
    tail = float(stats.norm.sf(reach))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), confidence)


def of_mean(values: Array, random: np.random.Generator, *, confidence: float = 0.95, resamples: int = 2000) -> Interval:
    """Interval of the mean of one value a row, such as the paired differences of two settings.

    Args:
        values: ``(rows,)``.
        random: what draws the rows.
        confidence: in (0, 1).
        resamples: draws.

    >>> of_mean(np.array([0.2, 0.3, 0.1, 0.2]), np.random.default_rng(0)).is_above_0
    True
    """
    values = np.asarray(values, np.float64)
    draws = weights(len(values), resamples, random) @ values / len(values)
    return of_draws(float(values.mean()), draws, len(values), confidence)


def of_difference(
    one: Array, other: Array, random: np.random.Generator, *, confidence: float = 0.95, resamples: int = 2000
) -> Interval:
    """Paired interval of how much the mean of ``one`` is above that of ``other``, both ``(rows,)`` of the same rows."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} and {len(other)} values are not of the same rows")
    return of_mean(np.asarray(one) - np.asarray(other), random, confidence=confidence, resamples=resamples)


def sign_flip_p(values: Array, random: np.random.Generator, *, flips: int = 2000) -> float:
    """p-value of "the mean of every column is 0": how often random signs of the rows make means as large.

    Exact where rows are symmetric about 0 (Fisher 1935; Winkler et al. 2014), whatever the columns have in common.

    Args:
        values: ``(rows,)``, or ``(rows, columns)``, whose squared means are summed.
        random: what draws the signs.
        flips: draws.
    """
    table = np.asarray(values, np.float64).reshape(len(values), -1)
    found = float((table.mean(axis=0) ** 2).sum())
    signs = random.integers(0, 2, size=(flips, len(table))) * 2.0 - 1
    chance = ((signs @ table / len(table)) ** 2).sum(axis=1)
    return float((1 + (chance >= found * (1 - 1e-9)).sum()) / (1 + flips))
