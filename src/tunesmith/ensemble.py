"""Ensembles: several models of one task and the same labels answer together, by the mean of their probabilities."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import predict
from tunesmith.errors import BundleError, UsageError
from tunesmith.predict import ENSEMBLE, Model
from tunesmith.tasks.base import Scored, Target

if TYPE_CHECKING:
    from tunesmith.metrics import Counted, Predictions


class Ensemble(Model):
    """Models whose scores are averaged; inputs, request parameters and defaults are those of the first.

    Thresholds of a multi-label model are the means of the members' thresholds.

    Raises:
        UsageError: they are of other tasks or labels than the first, or of a task whose scores have no mean.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        first = members[0]
        for member in members:
            _check(first, member)
        super().__init__(first.bundle, first.engine, first.tokenizer)
        self.members = tuple(members)
        self.target = _joined([member.target for member in members])

    def replay(self) -> float:
        """The largest of the members' differences from their golden answers."""
        return max(member.replay() for member in self.members)

    def read(self, rows: pa.Table, request: Any, folder: Path) -> Scored:
        """The mean of what its members give."""
        found = [member.read(rows, request, folder / str(number)) for number, member in enumerate(self.members)]
        return replace(found[0], scores=np.mean([np.asarray(one.scores) for one in found], axis=0))

    def _judge(self, rows: pa.Table, request: Any, folder: Path) -> Predictions | Counted:
        return self.task.predictions(self.read(rows, request, folder), self.task.asked(self.target, request))


def load(folder: Path, engine: str | None = None) -> Ensemble:
    """Open an ensemble that ``write`` wrote.

    Raises:
        BundleError: it is damaged, or a member is missing or damaged.
    """
    members = places(folder)
    if not members:
        raise BundleError("the ensemble has no models", where=str(folder / ENSEMBLE))
    return Ensemble([predict.load(place, engine) for place in members])


def places(folder: Path) -> list[Path]:
    """Where the models of an ensemble lie; none, where the folder holds no ensemble.

    Raises:
        BundleError: it is damaged.
    """
    if not (folder / ENSEMBLE).exists():
        return []
    try:
        members = json.loads((folder / ENSEMBLE).read_text(encoding="utf-8"))["members"]
        return [folder / str(member) for member in members]
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError("the list of the ensemble's models is damaged", where=str(folder / ENSEMBLE)) from None


def write(members: Sequence[Path], folder: Path, scores: dict[str, Any]) -> None:
    """Write which models answer together, by their places as seen from the folder, and what they score."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [os.path.relpath(member.resolve(), folder.resolve()) for member in members]
    bundles.write_text(folder / ENSEMBLE, json.dumps({"members": places, **scores}, indent=1, ensure_ascii=False))


def _check(first: Model, other: Model) -> None:
    where = str(other.bundle.folder)
    if not other.task.averages:
        raise UsageError(f"scores of {other.bundle.config.task_name} have no mean", where=where)
    if other.bundle.config.task_name != first.bundle.config.task_name:
        raise UsageError(f"is of another task than {first.bundle.folder}", where=where)
    if (other.target.kind, other.target.labels) != (first.target.kind, first.target.labels):
        raise UsageError(f"has other labels than {first.bundle.folder}", where=where)


def _joined(targets: Sequence[Target]) -> Target:
    tuned = [target.thresholds for target in targets]
    means = tuple(float(mean) for mean in np.mean(tuned, axis=0)) if all(tuned) else ()
    return replace(targets[0], thresholds=means)
