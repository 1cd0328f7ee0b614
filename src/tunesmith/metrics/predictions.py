"""Predictions: targets beside what a model answered, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions.decision import UNDECIDED, Decision
from tunesmith.metrics.kinds import KINDS, Kind

if TYPE_CHECKING:
    from tunesmith.metrics.counted import Counted

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model answered to rows whose targets are known.

    Args:
        kind: what an answer is: one label, a set of labels, a number.
        labels: names of the labels in the order of the model's outputs; empty for regression.
        targets: ``(n,)`` label numbers, ``(n, labels)`` of 0 and 1, or ``(n,)`` values.
        scores: ``(n, labels)`` probabilities in [0, 1], or ``(n,)`` values.
        predicted: the decisions, shaped like ``targets``.
        texts: the ``n`` texts.
        lengths: ``(n,)`` tokens of each text before any shortening.
        sources: where each row came from, as ``file:line``; empty if unknown.
        families: where labels are relations of marked pairs, the relation that each is a direction of; empty for the one
            that says that no relation holds.
        decision: what scores and answers are the outcome of.

    Raises:
        ValueError: a shape does not fit, a number is not finite, or there is no row.
    """

    kind: Kind
    labels: tuple[str, ...]
    targets: NDArray[Any]
    scores: NDArray[Any]
    predicted: NDArray[Any]
    texts: Sequence[str]
    lengths: NDArray[Any]
    sources: Sequence[str] = ()
    families: tuple[str, ...] = ()
    decision: Decision = UNDECIDED

    def __post_init__(self) -> None:
        number = np.int64 if self.kind != "regression" else np.float64
        for name, dtype in {"targets": number, "predicted": number, "scores": np.float64, "lengths": np.int64}.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=dtype))
        object.__setattr__(self, "labels", tuple(self.labels))
        self._check()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def chief(self) -> tuple[str, ...]:
        """Scores that always get an interval; the first is the one that a reader looks for."""
        facts = KINDS[self.kind]
        return (*(["f1_relations"] if self.families else ()), facts.headline, *facts.chief)

    @property
    def metric_kinds(self) -> tuple[str, ...]:
        """The kinds of metrics that are defined for them."""
        binary = self.kind == "multi-class" and len(self.labels) == 2
        more = {
            "binary": binary,
            "labelled-relations": self.families,
            "costly": self.decision.costs,
            "abstaining": self.decision.abstain_below or self.decision.abstain_each,
        }
        return (self.kind, *(name for name, holds in more.items() if holds))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """``(n,)`` whether the whole answer is right; for regression never asked."""
        same = self.targets == self.predicted
        return np.asarray(same.all(axis=1) if same.ndim == 2 else same)

    @cached_property
    def confidence(self) -> Array:
        """``(n,)`` the probability of each answer; of one label alone."""
        return np.asarray(np.take_along_axis(self.scores, self.predicted[:, None], axis=1)[:, 0])

    @property
    def sureness(self) -> tuple[Array, Array]:
        """Probabilities, and for each whether it came true, both ``(n, 1)`` of the answers or ``(n, labels)`` of several labels."""
        if self.kind == "multi-class":
            return self.confidence[:, None], self.correct[:, None].astype(np.float64)
        return self.scores, self.targets.astype(np.float64)

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """``(n,)`` whether an answer is sure enough to be given; of one label alone."""
        each = self.decision.abstain_each
        return np.asarray(self.confidence >= (np.array(each)[self.predicted] if each else self.decision.abstain_below))

    @cached_property
    def seen(self) -> NDArray[np.bool_]:
        """``(labels,)`` whether any row has the label as target or as prediction."""
        if self.kind == "multi-label":
            return np.asarray((self.targets | self.predicted).any(axis=0))
        return np.isin(np.arange(len(self.labels)), np.concatenate([self.targets, self.predicted]))

    def take(self, rows: NDArray[Any]) -> Predictions:
        """The predictions of some rows only: numbers of rows or a mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        places = chosen.tolist()
        return Predictions(
            self.kind,
            self.labels,
            self.targets[chosen],
            self.scores[chosen],
            self.predicted[chosen],
            [self.texts[row] for row in places],
            self.lengths[chosen],
            [self.sources[row] for row in places] if self.sources else (),
            self.families,
            self.decision,
        )

    def joined(self, other: Any) -> Predictions:
        """The rows of both, these first."""
        return replace(
            self,
            targets=np.concatenate([self.targets, other.targets]),
            scores=np.concatenate([self.scores, other.scores]),
            predicted=np.concatenate([self.predicted, other.predicted]),
            texts=[*self.texts, *other.texts],
            lengths=np.concatenate([self.lengths, other.lengths]),
            sources=(),
        )

    def same_rows(self, other: Any) -> bool:
        """Whether the other answered the same rows."""
        return (self.kind, self.labels) == (other.kind, other.labels) and np.array_equal(self.targets, other.targets)

    def names(self, answer: Any) -> str | list[str] | float:
        """One target or prediction in words: a label, a list of labels, or a number."""
        if self.kind == "multi-class":
            return self.labels[int(answer)]
        if self.kind == "multi-label":
            return [label for label, chosen in zip(self.labels, answer, strict=True) if chosen]
        return float(answer)

    def _check(self) -> None:
        rows = len(self.targets)
        wide = (rows, len(self.labels))
        shapes = {
            "targets": wide if self.kind == "multi-label" else (rows,),
            "predicted": wide if self.kind == "multi-label" else (rows,),
            "scores": (rows,) if self.kind == "regression" else wide,
            "lengths": (rows,),
        }
        for name, expected in shapes.items():
            found = getattr(self, name).shape
            if found != expected:
                raise ValueError(f"{name} of {self.kind} predictions: expected shape {expected}, found {found}")
        if rows == 0 or len(self.texts) != rows or (self.sources and len(self.sources) != rows):
            raise ValueError(f"{rows} targets, {len(self.texts)} texts and {len(self.sources)} sources do not fit")
        if not (np.isfinite(self.scores).all() and np.isfinite(self.targets).all()):
            raise ValueError("scores and targets must be finite numbers")


def fingerprint(predictions: Predictions | Counted) -> str:
    """SHA-256 of labels, texts and targets: equal for two runs that were scored on the same rows in the same order."""
    digest = hashlib.sha256("\x1f".join([predictions.kind, *predictions.labels]).encode())
    for text, target in zip(predictions.texts, predictions.targets, strict=True):
        digest.update(f"\x1e{text}\x1f{predictions.names(target)}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
