"""How long answers take: measured on a few of them, for whoever must say when a run is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

ROWS = 8
"""Rows that are answered to measure; more in one batch take less time each, so that what is told is rather too long."""

_TOKENS = 12


@dataclass(frozen=True)
class Pace:
    """Seconds of one answer among others: until its first token, and for each token after that."""

    first_s: float
    token_s: float

    def seconds(self, answers: int, tokens: float) -> float:
        """Seconds that so many answers of so many tokens take."""
        return answers * (self.first_s + max(0.0, tokens - 1) * self.token_s)


def measure(answer: Callable[[int], object], rows: int) -> Pace:
    """The pace of something that answers.

    Args:
        answer: writes so many tokens for each of the rows.
        rows: how many there are.
    """
    first, more = _seconds(lambda: answer(1)), _seconds(lambda: answer(1 + _TOKENS))
    return Pace(first / rows, max(0.0, more - first) / rows / _TOKENS)


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
