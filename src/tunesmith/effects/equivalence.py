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
_QUANTILES = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a mean of paired differences (Schuirmann 1987).

    Args:
        mean: of the differences.
        margin: differences smaller than this do not count.
        p_equivalent: of "the true mean is at least the margin away from 0".
        p_different: of "the true mean is 0" (Student's t, two-sided).
        power: chance that these rows would have shown equivalence, were the true mean 0.
        least_detectable: the difference that these rows would have shown with a chance of 80 %.
        needed_rows: rows with which equivalence would be shown with a chance of 80 %, were the true mean 0; None: too
            many to say.
        alpha: chance of a false claim of each kind.
    """

    mean: float
    margin: float
    p_equivalent: float
    p_different: float
    power: float
    least_detectable: float
    needed_rows: int | None
    alpha: float = 0.05

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
        return Equivalence(mean, margin, float(not inside), float(not there), 1.0, 0.0, rows, alpha)
    freedom = rows - 1
    outside = max(
        float(stats.t.sf((mean + margin) / error, freedom)), float(stats.t.cdf((mean - margin) / error, freedom))
    )
    return Equivalence(
        mean=mean,
        margin=margin,
        p_equivalent=outside,
        p_different=2 * float(stats.t.sf(abs(mean) / error, freedom)),
        power=power_of_equivalence(deviation, rows, margin, alpha),
        least_detectable=least_detectable(deviation, rows, alpha),
        needed_rows=rows_for_equivalence(deviation, margin, alpha),
        alpha=alpha,
    )


def power_of_equivalence(deviation: float, rows: int, margin: float, alpha: float = 0.05) -> float:
    """Chance that two one-sided tests show equivalence where the true mean is 0.

    Over the deviations that a sample may have, the mean over the chance that the sample's mean lies far enough inside
    (Owen 1965, by numerical integration).
    """
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
