"""Racing: settings that are surely worse than the best are dropped while rows are still being answered.

Rows come in blocks. After each, every setting is held against the leader by a paired one-sided t test over rows. The
chance to drop the truly best setting is bounded over all comparisons and all looks together: the best is dropped only if
some other setting looks surely better, so each look may err with the chance ``alpha / looks`` (spent evenly), and each
of its comparisons with that divided by the number of the others (Bonferroni). As in F-Race (Birattari et al. 2002) and
successive tests of Maron and Moore (1994), what is clear is clear early. The race is also over
when every setting that is left is surely less than the margin better than the leader.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

ALPHA = 0.05
_LOOKS = 8


def looks(rows: int, settings: int, alpha: float = ALPHA) -> tuple[int, ...]:
    """After how many rows the settings are compared; the last is all of them.

    The first is after as many rows as a test without assumptions needs at least to be as sure as asked for.

    >>> looks(100, 60), looks(10, 60)
    ((14, 27, 39, 51, 64, 76, 88, 100), (10,))
    """
    first = math.ceil(math.log2(max(1, settings - 1) * _LOOKS / alpha))
    if first >= rows:
        return (rows,)
    count = min(_LOOKS, rows - first + 1)
    return tuple(sorted({math.ceil(each) for each in np.linspace(first, rows, count)}))


def worse(values: Array, alpha: float, others: int) -> list[int]:
    """Numbers of the settings that are surely worse than the leader.

    Args:
        values: ``(settings, rows)``, higher is better.
        alpha: chance that this look may err with.
        others: settings beside the best, of all that began.
    """
    leader = int(np.argmax(values.mean(axis=1)))
    return [
        number
        for number in range(len(values))
        if number != leader and p_better(values[leader] - values[number]) <= alpha / max(1, others)
    ]


def is_settled(values: Array, margin: float, alpha: float, others: int) -> bool:
    """Whether no setting can surely be better than the leader by the margin or more, so that more rows would gain nothing.

    Args:
        values: ``(settings, rows)``, higher is better.
        margin: differences below it do not count.
        alpha: chance that this look may err with.
        others: settings beside the best, of all that began.
    """
    leader = int(np.argmax(values.mean(axis=1)))
    level = alpha / max(1, others)
    return all(
        p_better(values[leader] - one + margin) <= level for number, one in enumerate(values) if number != leader
    )


def p_better(differences: Array) -> float:
    """p-value of "the mean is not above 0": Student's, but never less than the chance that all signs fall so.

    Student's t alone would call five equal differences proof, which five coins show every 32nd time.
    """
    rows = len(differences)
    mean = float(differences.mean())
    if rows < 2 or mean <= 0:
        return 1.0
    deviation = float(differences.std(ddof=1))
    least = 0.5**rows
    if deviation <= 1e-12 * mean:
        return least
    return max(least, float(stats.t.sf(mean / deviation * math.sqrt(rows), rows - 1)))


def survivors(values: Array, alive: Sequence[int], began: int, planned: int, alpha: float = ALPHA) -> list[int]:
    """Settings that go on after a look.

    Args:
        values: ``(alive, rows)`` of those that are still in the race.
        alive: their numbers.
        began: how many there were.
        planned: how many looks there are in all.
        alpha: chance to drop the best in the whole race.
    """
    dropped = set(worse(values, alpha / planned, began - 1))
    return [number for place, number in enumerate(alive) if place not in dropped]
