"""Answers as a caller sees them, back to probabilities and decisions: those that another process gave, held against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions import answers as decisions
from tunesmith.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.metrics import Counted, Predictions
    from tunesmith.tasks.base import Scored, Target, Task

_OF_LABELS = ("multi-class", "multi-label")


def in_full(target: Target) -> dict[str, Any]:
    """Request parameters with which answers list the probability of every label; they change none of the answers."""
    return {"top_k": len(target.labels), "activation": "auto"} if target.kind in _OF_LABELS else {}


def predictions(
    task: Task, answers: Sequence[Mapping[str, Any]], scored: Scored, target: Target
) -> Predictions | Counted:
    """Answers beside the truth: labels with all of them in ``top``, numbers, or what the task's own ``heard`` knows to read.

    Args:
        task: of the answers.
        answers: of each row.
        scored: the rows; their scores are not known.
        target: as the request wants it decided.

    Raises:
        UsageError: such answers do not say enough.
    """
    from tunesmith import metrics

    if (own := getattr(task, "heard", None)) is not None:
        read: Predictions | Counted = own(answers, scored, target)
        return read
    if target.kind in _OF_LABELS:
        chances, given = labels(answers, target)
        found: Any = task.predictions(replace(scored, scores=chances), target)
        made: Predictions = replace(found, predicted=given)
        return made
    if target.kind == "regression":
        values = np.array([one["value"] if "value" in one else one["score"] for one in answers], np.float64)
        truth = task.values(scored.rows)
        return metrics.Predictions("regression", target.labels, truth, values, values, **scored.context())
    raise UsageError(f"answers of the kind {target.kind} do not say enough to be held against the truth")


def labels(answers: Sequence[Mapping[str, Any]], target: Target) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What ``answers.told`` and ``told_many`` said, as probabilities (N, O) and answers as ``answers.decided`` gives them.

    Where no label was answered, as none was sure enough, it is the one that would have been.
    """
    number = {label: place for place, label in enumerate(target.labels)}
    chances = np.zeros((len(answers), len(number)))
    for row, answer in zip(chances, answers, strict=True):
        for entry in answer["top"]:
            row[number[entry["label"]]] = entry["score"]
    given = decisions.decided(chances, target)
    for place, answer in enumerate(answers):
        if target.kind == "multi-label":
            given[place] = [label in answer["labels"] for label in target.labels]
        elif answer["label"] in number:
            given[place] = number[answer["label"]]
    return chances, given
