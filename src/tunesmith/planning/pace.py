"""Timing a few of many like things, to know what all of them take."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tunesmith import machine
from tunesmith.planning.model import Span

T = TypeVar("T")

_SURELY = 2.0
"""Standard errors to either side of what is expected."""


@dataclass(frozen=True)
class Pace:
    """Seconds for each unit of work, and the standard error of that."""

    seconds: float
    error: float

    @classmethod
    def of(cls, units: Sequence[float], seconds: Sequence[float]) -> Pace:
        """From timed pieces of work, as the ratio of their sums (Cochran 1977, "Sampling Techniques", chapter 6).

        >>> Pace.of([1, 2, 3], [2.0, 4.0, 6.0])
        Pace(seconds=2.0, error=0.0)
        """
        x, y = np.asarray(units, np.float64), np.asarray(seconds, np.float64)
        ratio = float(y.sum() / x.sum())
        spread = float(np.square(y - ratio * x).sum())
        count = len(x)
        return cls(ratio, math.sqrt(count / (count - 1) * spread) / float(x.sum()) if count > 1 else ratio / 4)

    def over(self, units: float, least_off: float = 0.1) -> Span:
        """Seconds for so many units; the bounds are at least a share ``least_off`` away."""
        expected = self.seconds * units
        off = max(least_off, min(0.5, _SURELY * self.error / self.seconds)) if self.seconds else least_off
        return Span.of(expected, off)


def timed(act: Callable[[], T]) -> tuple[T, float]:
    """What a function gives, and the seconds that it took, less those in which other programs kept it waiting."""
    began, waited = time.monotonic(), machine.waited_s()
    found = act()
    return found, max(1e-6, time.monotonic() - began - (machine.waited_s() - waited))


def some(pieces: Iterable[T], act: Callable[[T], object], units: Callable[[T], float], limit_s: float) -> Pace:
    """Time pieces one after the other, three at least where there are, until the limit is over."""
    sizes, seconds = list[float](), list[float]()
    for piece in pieces:
        if len(sizes) >= 3 and sum(seconds) > limit_s:
            break
        seconds.append(timed(functools.partial(act, piece))[1])
        sizes.append(units(piece))
    return Pace.of(sizes, seconds)


def spread(count: int, most: int) -> list[int]:
    """Places of a few among many, evenly spread, in an order whose beginnings are spread too.

    >>> spread(100, 4)
    [12, 62, 37, 87]
    """
    places = [int((place + 0.5) * count / min(count, most)) for place in range(min(count, most))]
    return [places[place] for place in sorted(range(len(places)), key=_reversed_bits)]


def _reversed_bits(number: int) -> int:
    return int(f"{number:016b}"[::-1], 2)
