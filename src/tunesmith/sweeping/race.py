"""Racing: settings that are not the best are dropped while rows are still being answered.

Rows come in blocks. After each, every setting is held against the leader by a paired one-sided t test over rows, and
dropped where it is surely worse. The chance to drop the truly best setting so is bounded over all comparisons and all looks
together: the best is dropped only if some other setting looks surely better, so each look may err with the chance
``alpha / looks`` (spent evenly), and each of its comparisons with that divided by the number of the others (Bonferroni). As
in F-Race (Birattari et al. 2002) and successive tests of Maron and Moore (1994), what is clear is clear early. The race is
also over when every setting that is left is surely less than the margin better than the leader.

Settings that are nearly alike are never surely worse, and would go on to the last row. So a race has a share of the grid's
answers to spend: of those that are left after a look only the better half goes on, and is then compared on twice as many new rows
(sequential halving, Karnin, Koren and Somekh 2013). With a share of 1 only what is surely worse is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

ALPHA = 0.05
_LOOKS = 8


@dataclass(frozen=True)
class Look:
    """After so many ``rows`` the settings are compared, and no more than ``keep`` go on."""

    rows: int
    keep: int


def looks(rows: int, settings: int, share: float = 1.0, alpha: float = ALPHA) -> tuple[Look, ...]:
    """When settings are compared; the last time is after all rows, or before the race has but one left.

    Args:
        rows: that there are.
        settings: that begin.
        share: of all their answers to all rows; less is spent.
        alpha: chance to drop the best as surely worse in the whole race.

    >>> [(look.rows, look.keep) for look in looks(60, 60, 0.5)]
    [(11, 30), (33, 15), (60, 15)]
    >>> [look.rows for look in looks(100, 60)]
    [14, 27, 39, 51, 64, 76, 88, 100]
    """
    if share >= 1 or settings < 2:
        return _even(rows, settings, alpha)
    plans = (_halving(rows, settings, first) for first in range(rows - 1, 1, -1))
    return next((plan for plan in plans if _cost(plan, settings) < share * rows * settings), (Look(rows, settings),))


def _even(rows: int, settings: int, alpha: float) -> tuple[Look, ...]:
    """The first after as many rows as a test without assumptions needs at least to be as sure as asked for."""
    first = math.ceil(math.log2(max(1, settings - 1) * _LOOKS / alpha))
    if first >= rows:
        return (Look(rows, settings),)
    count = min(_LOOKS, rows - first + 1)
    return tuple(Look(at, settings) for at in sorted({math.ceil(each) for each in np.linspace(first, rows, count)}))


def _halving(rows: int, settings: int, first: int) -> tuple[Look, ...]:
    """Half goes on after each look, and gets twice as many new rows as before."""
    plan, at, new, left = list[Look](), 0, first, settings
    while at < rows and left > 1:
        at = min(rows, at + new)
        left = math.ceil(left / 2) if at < rows else left
        plan.append(Look(at, left))
        new *= 2
    return tuple(plan)


def _cost(plan: Sequence[Look], settings: int) -> int:
    """Answers that are given if nothing is surely worse."""
    before = (Look(0, settings), *plan)
    return sum(last.keep * (look.rows - last.rows) for last, look in zip(before, plan, strict=False))


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


@dataclass(frozen=True)
class Left:
    """Who goes on after a look, and how many were set aside that are not surely worse."""

    alive: list[int]
    aside: int


def survivors(values: Array, alive: Sequence[int], began: int, planned: int, keep: int, alpha: float = ALPHA) -> Left:
    """Settings that go on after a look.

    Args:
        values: ``(alive, rows)`` of those that are still in the race.
        alive: their numbers.
        began: how many there were.
        planned: how many looks there are in all.
        keep: the most that go on.
        alpha: chance to drop the best as surely worse in the whole race.
    """
    dropped = set(worse(values, alpha / planned, began - 1))
    ranked = sorted(set(range(len(alive))) - dropped, key=lambda place: -values[place].mean())
    return Left([alive[place] for place in sorted(ranked[:keep])], max(0, len(ranked) - keep))
