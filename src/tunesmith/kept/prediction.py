"""A prediction as a log keeps it, with what was said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_DAY_S = 86_400


@dataclass(frozen=True)
class Feedback:
    """What somebody said of an answer.

    Args:
        at: when, seconds since 1970.
        truth: the answer that should have been given; None: nobody said.
        rating: -1 (bad) to 1 (good).
        comment: in words.
    """

    at: float
    truth: Mapping[str, Any] | None = None
    rating: float | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Prediction:
    """An answer to one input; see ``tables.PREDICTIONS``.

    Args:
        id: in the log; None: it is not in one yet.
    """

    request: str
    number: int
    at: float
    key_name: str
    model: str
    version: int
    bundle: str
    engine: str
    task: str
    input: Any
    answer: Mapping[str, Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user_name: str | None = None
    label: str | None = None
    score: float | None = None
    tokens_read: int = 0
    tokens_written: int = 0
    latency_s: float = 0.0
    id: int | None = None
    feedback: Feedback | None = None

    @property
    def day(self) -> int:
        """Days since 1970, UTC."""
        return int(self.at // _DAY_S)


@dataclass(frozen=True)
class Wanted:
    """Which predictions are meant.

    Args:
        model: of this name.
        bundle: of the bundle with this id.
        since: not before, seconds since 1970.
        most: only the latest so many.
        judged: only those that somebody said something of.
    """

    model: str | None = None
    bundle: str | None = None
    since: float | None = None
    most: int | None = None
    judged: bool = False
