"""Counted: predictions of any other form, of which every metric needs only what was counted in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.kinds import KINDS, Kind
from tunesmith.metrics.predictions import Array

if TYPE_CHECKING:
    from tunesmith.metrics.reliability import Trust


@dataclass(frozen=True, eq=False)
class Counted:
    """What a model answered to rows whose truth is known, as counts: every score is a function of their column sums.

    The builders (``entities``, ``triples``, ``answers``, ``translation``, ``summary``, ``chat``, ``ranking``) make it
    of truth and answers.

    Args:
        kind: what an answer is.
        statistics: ``(n, columns)`` what was counted in each row; see ``columns``.
        targets: the ``n`` truths, as people read them.
        predicted: the ``n`` answers, as people read them.
        texts: the ``n`` texts.
        lengths: ``(n,)`` tokens of each text before any shortening.
        errors: ``(n,)`` how bad each answer is, at least 0; 0 where it is right.
        sources: where each row came from, as ``file:line``; empty if unknown.
        labels: names of the types that are counted apart; empty where the kind has none.
        notes: what a reader must know of how it was counted.
        trust: how far its scores can be trusted, of all rows together; None where they were not calibrated.

    Raises:
        ValueError: a shape does not fit, a number is not finite, or there is no row.
    """

    kind: Kind
    statistics: NDArray[Any]
    targets: Sequence[str]
    predicted: Sequence[str]
    texts: Sequence[str]
    lengths: NDArray[Any]
    errors: NDArray[Any]
    sources: Sequence[str] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trust: Trust | None = None

    def __post_init__(self) -> None:
        for name, dtype in {"statistics": np.float64, "lengths": np.int64, "errors": np.float64}.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        for name in ("labels", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of ``statistics``."""
        return columns(self.kind, self.labels)

    @property
    def chief(self) -> tuple[str, ...]:
        """Scores that always get an interval; the first is the one that a reader looks for."""
        return (KINDS[self.kind].headline, *KINDS[self.kind].chief)

    @property
    def metric_kinds(self) -> tuple[str, ...]:
        """The kinds of metrics that are defined for them."""
        return (self.kind,)

    def column(self, name: str) -> Array:
        """``(n,)`` one column; ``(n, labels)`` of one that is counted for each label."""
        return self.statistics[:, place(self.kind, len(self.labels), name)]

    def take(self, rows: NDArray[Any]) -> Counted:
        """The predictions of some rows only: numbers of rows or a mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        lists: dict[str, Any] = {name: [getattr(self, name)[row] for row in chosen.tolist()] for name in self._lists()}
        arrays: dict[str, Any] = {name: getattr(self, name)[chosen] for name in ("statistics", "lengths", "errors")}
        return replace(self, **lists, **arrays)

    def joined(self, other: Any) -> Counted:
        """The rows of both, these first."""
        lists: dict[str, Any] = {
            name: [*getattr(self, name), *getattr(other, name)] for name in ("targets", "predicted", "texts")
        }
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("statistics", "lengths", "errors")
        }
        return replace(self, **lists, **arrays, sources=())

    def same_rows(self, other: Any) -> bool:
        """Whether the other answered the same rows."""
        return (self.kind, self.labels, list(self.targets)) == (other.kind, other.labels, list(other.targets))

    def names(self, answer: str) -> str:
        """A target or an answer in words: it is already."""
        return answer

    def _lists(self) -> tuple[str, ...]:
        return ("targets", "predicted", "texts", "sources") if self.sources else ("targets", "predicted", "texts")

    def _check(self) -> None:
        rows = len(self.targets)
        shapes = {"statistics": (rows, len(self.columns)), "lengths": (rows,), "errors": (rows,)}
        for name, expected in shapes.items():
            found = getattr(self, name)
            if found.shape != expected:
                raise ValueError(f"{name} of {self.kind} predictions: expected shape {expected}, found {found.shape}")
            if not np.isfinite(found).all():
                raise ValueError(f"{name} must be finite numbers")
        if rows == 0 or any(len(getattr(self, name)) != rows for name in self._lists()):
            sizes = {name: len(getattr(self, name)) for name in self._lists()}
            raise ValueError(f"{sizes} do not fit")


def columns(kind: Kind, labels: Sequence[str]) -> tuple[str, ...]:
    """Names of what is counted in a row.

    >>> columns("ranking", ())
    ('rank', 'reciprocal_rank', 'within_1', 'within_5', 'within_10')
    >>> columns("entities", ("PER",))[2:5]
    ('boundary_found', 'hits: PER', 'gold: PER')
    """
    facts = KINDS[kind]
    return (*facts.columns, *(f"{name}: {label}" for name in facts.label_columns for label in labels))


def place(kind: Kind, labels: int, name: str) -> int | slice:
    """Where a column lies, or the columns of all labels."""
    facts = KINDS[kind]
    if name in facts.columns:
        return facts.columns.index(name)
    first = len(facts.columns) + facts.label_columns.index(name) * labels
    return slice(first, first + labels)
