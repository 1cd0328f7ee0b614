"""Tests of whether what is asked now differs from what was there in training.

Every test gives how large the difference is beside how surely it is one: of many rows the smallest difference is sure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from tunesmith.kept.training import Sample

FEWEST = 20
"""Rows on either side below which nothing is computed."""
SURE = 0.05
"""Chance of an alarm where nothing has changed, of all tests of a report together."""
_FEWEST_EXPECTED = 5.0
_MEDIUM = 0.2
_OTHERS = "(others)"


@dataclass(frozen=True)
class Difference:
    """Two samples compared.

    Args:
        effect: how far they are apart; 0: they are alike.
        p: how often chance alone would take them so far apart.
        part: what contributes most, where there are parts.
    """

    effect: float
    p: float
    part: str = ""


def ks(then: Sample, now: Sequence[float]) -> Difference:
    """The two-sample test of Kolmogorov and Smirnov: the largest difference of the shares up to a value (0 to 1).

    The chance is the limit of many rows, with Stephens' correction for few; equal values make it larger than it is.
    """
    before, after = np.asarray(then.values), np.sort(np.asarray(now, float))
    points = np.concatenate([before, after])
    shares = [np.searchsorted(values, points, side="right") / len(values) for values in (before, after)]
    apart = float(np.abs(shares[0] - shares[1]).max())
    root = math.sqrt(then.rows * len(after) / (then.rows + len(after)))
    return Difference(apart, float(special.kolmogorov((root + 0.12 + 0.11 / root) * apart)))


def mix(then: Mapping[str, int], now: Mapping[str, int]) -> Difference:
    """Shares of labels that exclude one another: the population stability index, and Pearson's chi-square test.

    Labels that are too rare for the test count as one. An index from 0.1 on is called moderate, from 0.25 on large.
    """
    kept, before, after = _merged(then, now)
    if len(kept) < 2:
        return Difference(0.0, 1.0)
    shares = [(counts + 0.5) / (counts + 0.5).sum() for counts in (before, after)]
    parts = (shares[1] - shares[0]) * np.log(shares[1] / shares[0])
    expected = _expected(before, after)
    statistic = float((((np.stack([before, after]) - expected) ** 2) / expected).sum())
    return Difference(float(parts.sum()), float(special.chdtrc(len(kept) - 1, statistic)), kept[int(parts.argmax())])


def presence(then: Mapping[str, int], rows_then: int, now: Mapping[str, int], rows_now: int) -> Difference:
    """Things that may stand in a row together, each in a share of the rows: the likeliest to have changed, by chi-square.

    Its chance is corrected for the number of things (Bonferroni), which holds however they hang together. The effect is
    the Jensen-Shannon distance (0 to 1) between their shares of all.
    """
    names = sorted({*then, *now})
    if not names:
        return Difference(0.0, 1.0)
    before, after = (np.array([counts.get(name, 0) for name in names], float) for counts in (then, now))
    pooled = (before + after) / (rows_then + rows_now)
    testable = pooled * min(rows_then, rows_now) >= _FEWEST_EXPECTED
    spread = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / rows_then + 1 / rows_now), 1e-12))
    z = np.where(testable & (pooled < 1), (after / rows_now - before / rows_then) / spread, 0.0)
    first = int(np.abs(z).argmax())
    p = min(1.0, 2 * float(special.ndtr(-abs(z[first]))) * max(1, int(testable.sum())))
    return Difference(jensen_shannon(before, after), p, names[first] if testable.any() else "")


def rate(expected: float, spread: float, seen: float, rows: int) -> Difference:
    """A share beside what it was expected to be: their difference, and the test of a normal mean.

    Args:
        expected: the share.
        spread: standard deviation of one row.
        seen: the share of the rows.
        rows: how many they are.
    """
    z = (seen - expected) / max(spread / math.sqrt(rows), 1e-9)
    return Difference(seen - expected, 2 * float(special.ndtr(-abs(z))))


def jensen_shannon(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Distance of two distributions, given as counts: the root of their Jensen-Shannon divergence in bits, 0 to 1.

    >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([1, 3], [2, 6])
    (1.0, 0.0)
    """
    one, two = (np.asarray(counts, float) / max(float(np.sum(counts)), 1e-12) for counts in (first, second))
    middle = (one + two) / 2
    bits = [special.rel_entr(each, middle).sum() / math.log(2) for each in (one, two)]
    return math.sqrt(max(0.0, float(sum(bits)) / 2))


def holm(chances: Sequence[float]) -> list[float]:
    """Chances corrected for being several (Holm 1979).

    >>> [round(chance, 2) for chance in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    found, highest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        found[place] = highest
    return found


def needed(other: int, tests: int = 5) -> int | None:
    """Rows needed beside others, for a medium difference (0.2 of the shares up to a value) to be told from chance.

    Args:
        other: rows of the other side; None is given where these are too few for any number.
        tests: that are made at once.
    """
    bound = -math.log(SURE / tests / 2) / 2 / _MEDIUM**2
    return None if other <= bound else max(FEWEST, math.ceil(1 / (1 / bound - 1 / other)))


def _merged(then: Mapping[str, int], now: Mapping[str, int]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels, and their counts on both sides; those with too few rows to be expected are one."""
    names = sorted({*then, *now})
    before, after = (np.array([counts.get(name, 0) for name in names], float) for counts in (then, now))
    rare = _expected(before, after).min(axis=0) < _FEWEST_EXPECTED
    kept = [name for name, few in zip(names, rare, strict=True) if not few]
    both = [np.append(counts[~rare], counts[rare].sum()) for counts in (before, after)]
    if both[0][-1] + both[1][-1] == 0:
        return kept, both[0][:-1], both[1][:-1]
    return [*kept, _OTHERS], both[0], both[1]


def _expected(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Counts of both sides (2, labels), were their shares the same."""
    both = np.stack([before, after])
    return np.asarray(both.sum(axis=1, keepdims=True) * both.sum(axis=0) / max(both.sum(), 1.0))
