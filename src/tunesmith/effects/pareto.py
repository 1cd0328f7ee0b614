"""Pareto fronts: what nothing else beats in every respect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def front(points: NDArray[np.float64] | Sequence[Sequence[float]], higher_is_better: Sequence[bool]) -> list[int]:
    """Numbers of the points that no other is at least as good as in every respect and better in one.

    Args:
        points: ``(points, respects)``; a point with a value that is not finite is on no front.
        higher_is_better: of each respect.

    >>> front([[1, 1], [2, 3], [3, 2], [0, 0]], [True, True])
    [1, 2]
    """
    table = np.asarray(points, np.float64) * np.where(np.asarray(higher_is_better), 1.0, -1.0)
    finite = np.isfinite(table).all(axis=1)
    found = []
    for number in np.flatnonzero(finite):
        others = table[finite]
        beaten = (others >= table[number]).all(axis=1) & (others > table[number]).any(axis=1)
        if not beaten.any():
            found.append(int(number))
    return found
