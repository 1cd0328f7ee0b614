"""Whether a difference is surely small, surely there, or neither can be said; and how many rows it would take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Words = Literal["equivalent", "different", "cannot tell"]

_MOST_ROWS = 10_000_000
_QUANTILES = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean of paired differences (Schuirmann 1987).

    Args:
        mean: of the differences.
        deviation: standard deviation of the differences.
        rows: how many there are.
        margin: differences smaller than this do not count.
        p_equivalent: of "the true mean is at least the margin away from 0".
        p_different: of "the true mean is 0" (Student's t, two-sided).
        alpha: chance of a false claim of each kind.
    """

    mean: float
    deviation: float
    rows: int
    margin: float
    p_equivalent: float
    p_different: float
    alpha: float = 0.05

    @property
    def power(self) -> float:
        """Chance that these rows would have shown equivalence, were the true mean 0."""
        return power_of_equivalence(self.deviation, self.rows, self.margin, self.alpha)

    @property
    def least_detectable(self) -> float:
        """The difference that these rows would have shown with a chance of 80 %."""
        return least_detectable(self.deviation, self.rows, self.alpha)

    @property
    def needed_rows(self) -> int | None:
        """Rows with which equivalence would be shown with a chance of 80 %, were the true mean 0; None: too many to say."""
        return rows_for_equivalence(self.deviation, self.margin, self.alpha)

    @property
    def words(self) -> Words:
        """What may be said; a difference that is surely there and surely within the margin is equivalent."""
        if self.p_equivalent <= self.alpha:
            return "equivalent"
        return "different" if self.p_different <= self.alpha else "cannot tell"


def tost(differences: Array, margin: float, alpha: float = 0.05) -> Equivalence:
    """Ask whether the mean of differences lies within ``-margin`` to ``margin``.

    Args:
        differences: ``(rows,)``, at least 2.
        margin: above 0.
        alpha: chance of a false claim.

    >>> tost(np.array([0.01, -0.01, 0.0, 0.01, -0.01]), margin=0.1).words
    'equivalent'
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2 or margin <= 0:
        raise ValueError(f"{len(values)} differences and the margin {margin} allow no test")
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    return of_moments(mean, deviation, len(values), margin, alpha)


def of_moments(mean: float, deviation: float, rows: int, margin: float, alpha: float = 0.05) -> Equivalence:
    """``tost`` by the mean and the standard deviation of the differences; without deviation nothing is left to chance."""
    error = deviation / math.sqrt(rows)
    if error <= 1e-12 * max(1.0, abs(mean)):
        inside, there = abs(mean) < margin, abs(mean) > 1e-12
        return Equivalence(mean, 0.0, rows, margin, float(not inside), float(not there), alpha)
    above, below = (mean + margin) / error, (mean - margin) / error
    p_equivalent = max(float(stats.t.sf(above, rows - 1)), float(stats.t.cdf(below, rows - 1)))
    p_different = 2 * float(stats.t.sf(abs(mean) / error, rows - 1))
    return Equivalence(mean, deviation, rows, margin, p_equivalent, p_different, alpha)


def power_of_equivalence(deviation: float, rows: int, margin: float, alpha: float = 0.05) -> float:
    """Chance that two one-sided tests show equivalence where the true mean is 0.

    Over the deviations that a sample may have, the mean over the chance that the sample's mean lies far enough inside
    (Owen 1965, by numerical integration).
    """
    if deviation == 0:
        return 1.0
    freedom = rows - 1
    sampled = np.sqrt(stats.chi2.ppf(_QUANTILES, freedom) / freedom)
    reach = margin * math.sqrt(rows) / deviation - float(stats.t.ppf(1 - alpha, freedom)) * sampled
    return float(np.maximum(0.0, 2 * stats.norm.cdf(reach) - 1).mean())


def rows_for_equivalence(deviation: float, margin: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Fewest rows with which equivalence is shown with a chance of ``power``, were the true mean 0; None: over 10 million."""
    return _fewest(lambda rows: power_of_equivalence(deviation, rows, margin, alpha) >= power)


def rows_to_detect(deviation: float, difference: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Fewest rows with which a true difference is shown with a chance of ``power``; None: over 10 million."""
    return _fewest(lambda rows: least_detectable(deviation, rows, alpha, power) <= abs(difference))


def least_detectable(deviation: float, rows: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true mean that a two-sided t test of so many rows shows with a chance of ``power``."""
    if rows < 2:
        return math.inf
    reach = float(stats.t.ppf(1 - alpha / 2, rows - 1)) + float(stats.t.ppf(power, rows - 1))
    return reach * deviation / math.sqrt(rows)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The fewest rows for which something holds that more rows keep true."""
    low, high = 1, 2
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST_ROWS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
