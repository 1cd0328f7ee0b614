"""Rows that say the same: equal texts, and texts that a base model holds for nearly equal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tunesmith.embeddings import directions

MOST_COMPARED = 50_000
_CELLS_AT_ONCE = 4_000_000
MOST_PAIRS = 10_000


@dataclass(frozen=True)
class Alike:
    """Numbers of rows that say the same, and how near their texts are: 1 where they are equal."""

    rows: tuple[int, ...]
    similarity: float


def equal(digests: np.ndarray) -> list[Alike]:
    """Rows with the same digest of their texts, in the order of their first rows.

    >>> equal(np.array([5, 7, 5, 9, 7, 5]))
    [Alike(rows=(0, 2, 5), similarity=1.0), Alike(rows=(1, 4), similarity=1.0)]
    """
    order = np.argsort(digests, kind="stable")
    cuts = np.flatnonzero(np.diff(digests[order])) + 1
    found = [tuple(rows.tolist()) for rows in np.split(order, cuts) if len(rows) > 1]
    return [Alike(rows, 1.0) for rows in sorted(found)]


def nearly_equal(features: np.ndarray, digests: np.ndarray, near: float) -> list[Alike]:
    """Pairs of rows with different texts whose features point nearly the same way, nearest first; at most 10,000.

    The mean of all features is taken off first, since many base models give all texts much the same direction.

    Args:
        features: of each row, (rows, F).
        digests: of each row's texts, (rows,).
        near: least cosine.
    """
    pairs = sorted(_pairs(directions(features - features.mean(0)), digests, near), key=lambda pair: -pair[2])
    return [Alike((first, second), cosine) for first, second, cosine in pairs[:MOST_PAIRS]]


def _pairs(towards: np.ndarray, digests: np.ndarray, near: float) -> Iterator[tuple[int, int, float]]:
    step = max(1, _CELLS_AT_ONCE // max(1, len(towards)))
    for start in range(0, len(towards), step):
        cosines = towards[start : start + step] @ towards[start:].T
        for one, other in np.argwhere(np.triu(cosines >= near, 1)).tolist():
            if digests[start + one] != digests[start + other]:
                yield start + one, start + other, float(min(1.0, cosines[one, other]))
