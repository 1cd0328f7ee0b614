"""From probabilities to answers.

Shapes: N rows, O labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions import calibration
from tunesmith.errors import Problem, UsageError, did_you_mean

if TYPE_CHECKING:
    from tunesmith.tasks.base import Target

EVEN, UNKNOWN = 0.5, "unknown"
"""The probability from which a label of several is given where nothing was tuned, and what is answered instead of a label."""


_MOST_NAMED = 20


def calibrated(chances: NDArray[Any], target: Target) -> NDArray[np.float64]:
    """Probabilities (N, O) as the target has them calibrated."""
    return calibration.calibrated(chances, target.decision.calibration, exclusive=target.kind != "multi-label")


def decided(chances: NDArray[Any], target: Target, instead: int | None = None) -> NDArray[np.int64]:
    """The answers: label numbers (N,), or marks (N, O) of several labels.

    One label is that of the least expected cost (Elkan 2001, "The Foundations of Cost-Sensitive Learning"), or whose
    probability is the largest multiple of its threshold, or just the likeliest. Of several labels those from their
    thresholds on. ``instead`` is the label that an answer becomes which is not sure enough; None: it stays.
    """
    if target.kind == "multi-label":
        return np.asarray(chances >= np.array(target.thresholds or EVEN)).astype(np.int64)
    costs = target.decision.costs
    found = (chances @ np.array(costs)).argmin(1) if costs else (chances / np.array(target.thresholds or 1.0)).argmax(1)
    if instead is None:
        return np.asarray(found)
    return np.where(_is_sure(chances, found, target), found, instead)


def confidence(chances: NDArray[Any], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of each answer (N,)."""
    return np.asarray(np.take_along_axis(chances, answers[:, None], axis=1)[:, 0])


def asked(target: Target, threshold: float | Mapping[str, float] | None) -> Target:
    """The target with the threshold that a request sets: of several labels where they are given, else of abstaining.

    Labels that a mapping does not name keep theirs.

    Raises:
        UsageError: there is no such label.
    """
    if threshold is None or target.kind == "regression":
        return target
    if isinstance(threshold, Mapping):
        _check_labels(threshold, target)
        usual = target.thresholds if target.kind == "multi-label" else target.decision.abstain_each
        otherwise = EVEN if target.kind == "multi-label" else target.decision.abstain_below
        own = dict(zip(target.labels, usual or [otherwise] * len(target.labels), strict=True)) | dict(threshold)
        each = tuple(own.values())
    else:
        each = (threshold,) * len(target.labels)
    if target.kind == "multi-label":
        return dataclasses.replace(target, thresholds=each)
    below = 0.0 if isinstance(threshold, Mapping) else threshold
    own_each = each if isinstance(threshold, Mapping) else ()
    return dataclasses.replace(
        target, decision=dataclasses.replace(target.decision, abstain_below=below, abstain_each=own_each)
    )


def told(
    chances: NDArray[Any], target: Target, top_k: int, unsure: str = UNKNOWN, shown: NDArray[Any] | None = None
) -> list[dict[str, Any]]:
    """One label for each row as a caller sees it, with the likeliest where more than one is wanted.

    Args:
        chances: (N, O).
        target: whose decisions hold.
        top_k: how many of the likeliest labels to list.
        unsure: what is answered where the answer is not sure enough.
        shown: scores (N, O) that the caller sees instead of the probabilities.
    """
    given = decided(chances, target)
    seen = chances if shown is None else shown
    rows = zip(chances, given.tolist(), _is_sure(chances, given, target).tolist(), seen, strict=True)
    return [
        {"label": target.labels[number] if sure else unsure, "score": float(scores[number])}
        | ({"top": likeliest(row, target, top_k, scores)} if top_k > 1 else {})
        for row, number, sure, scores in rows
    ]


def told_many(
    chances: NDArray[Any], target: Target, top_k: int, shown: NDArray[Any] | None = None
) -> list[dict[str, Any]]:
    """The labels that hold for each row, of several, as a caller sees them; arguments as for ``told``."""
    found = []
    for row, holds, scores in zip(chances, decided(chances, target), chances if shown is None else shown, strict=True):
        ranked = likeliest(row, target, len(row), scores)
        given = [entry for entry in ranked if holds[target.labels.index(entry["label"])]]
        answer = {"labels": [entry["label"] for entry in given], "scores": [entry["score"] for entry in given]}
        found.append(answer | ({"top": ranked[:top_k]} if top_k > 1 else {}))
    return found


def likeliest(row: NDArray[Any], target: Target, count: int, shown: NDArray[Any] | None = None) -> list[dict[str, Any]]:
    """The likeliest labels of a row with their probabilities, or other scores, as a caller sees them."""
    scores = row if shown is None else shown
    order = (-row).argsort(kind="stable")[:count]
    return [{"label": target.labels[number], "score": float(scores[number])} for number in order]


def _is_sure(chances: NDArray[Any], answers: NDArray[np.int64], target: Target) -> NDArray[np.bool_]:
    each = target.decision.abstain_each
    least = np.array(each)[answers] if each else target.decision.abstain_below
    return np.asarray(confidence(chances, answers) >= least)


def _check_labels(named: Mapping[str, float], target: Target) -> None:
    unknown = [name for name in named if name not in target.labels]
    problems = [
        Problem(f"no label '{name}'", "request parameter threshold", did_you_mean(name, target.labels))
        for name in unknown[:_MOST_NAMED]
    ]
    if len(unknown) > _MOST_NAMED:
        problems.append(Problem(f"and {len(unknown) - _MOST_NAMED:,} more", "request parameter threshold"))
    if problems:
        raise UsageError("thresholds of labels that the model does not know", problems=problems)
