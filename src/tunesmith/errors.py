"""Every error a user can meet.

    TunesmithError
    ├── UsageError      a flag, a config key or a request parameter is wrong
    │   ├── ContextError    prompt and answer are longer than the model's context
    │   └── UnsupportedError  a request parameter that the engine cannot honour
    ├── DataError       a data file cannot be read or does not fit the task
    ├── SourceError     a base model or data set cannot be fetched, or is not what was pinned
    ├── BundleError     a saved model is missing, damaged or from a newer version
    ├── EngineError     a server that answers for an engine is full, refuses or fails
    ├── TrainingError   training cannot go on (NaN loss, no memory, full disk)
    └── Interrupted     the user stopped it; the run can be resumed

Each carries all problems found, not only the first, and knows the exit code of the command line
and the HTTP status of the server. Foreign exceptions are turned into these at the boundary.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NEAR = 0.6
"""Least share of letters that two names must have in common (twice those in common, of those of both)."""

_FAR = 2 / _NEAR - 1
"""A name this many times as long as another has too few letters in common with it, and need not be compared."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, where (``file:line``, a flag, a field) and what to do about it."""

    message: str
    where: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n    {self.hint}" if self.hint else text


class TunesmithError(Exception):
    """Base of all errors shown to users without a traceback.

    Args:
        message: one sentence; with ``problems`` it is their headline.
        where: ``file:line``, flag or field.
        hint: what to do, such as the legal range or the nearest name.
        problems: everything that was found wrong.
    """

    code = "error"
    exit_code = 2
    http_status = 400

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.headline = Problem(message, where, hint)
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join([str(self.headline), *(f"  - {problem}" for problem in self.problems)])


class UsageError(TunesmithError):
    """A flag, a config key or a request parameter is wrong."""

    code = "invalid_value"


class ContextError(UsageError):
    """Prompt and answer are longer than the model's context."""

    code = "context_length_exceeded"


class UnsupportedError(UsageError):
    """A request parameter that the engine cannot honour."""

    code = "unsupported_parameter"


class DataError(TunesmithError):
    """A data file cannot be read or does not fit the task."""

    code = "invalid_data"


class SourceError(TunesmithError):
    """A base model or data set cannot be fetched, or is not what was pinned."""

    code = "source_unavailable"


class BundleError(TunesmithError):
    """A saved model is missing, damaged or from a newer version."""

    code = "invalid_bundle"


class EngineError(TunesmithError):
    """A server that answers for an engine is full, refuses or fails."""

    code = "engine_failed"
    exit_code = 1
    http_status = 502


class TrainingError(TunesmithError):
    """Training cannot go on."""

    code = "training_failed"
    exit_code = 1
    http_status = 500


class Interrupted(TunesmithError):  # noqa: N818
    """The user stopped the work; what was done is kept."""

    code = "interrupted"
    exit_code = 130


def did_you_mean(name: str, known: Sequence[str]) -> str | None:
    """Return a hint naming the nearest of ``known`` names, or listing a short set of them.

    >>> did_you_mean("lerning_rate", ["learning_rate", "epochs"])
    "did you mean 'learning_rate'?"
    """
    if near := nearest(name, known):
        return f"did you mean '{near}'?"
    return f"known: {', '.join(known)}" if 0 < len(known) <= 30 else None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` names that is spelt most like ``name``, if any is like it at all."""
    legal = [one for one in known if len(name) <= _FAR * len(one)]
    return next(iter(difflib.get_close_matches(name, legal, n=1, cutoff=_NEAR)), None)
