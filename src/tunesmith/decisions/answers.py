"""From probabilities to answers.

Shapes: N rows, O labels.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions import calibration

if TYPE_CHECKING:
    from tunesmith.tasks.base import Target

EVEN, UNKNOWN = 0.5, "unknown"
"""The probability from which a label of several is given where nothing was tuned, and what is answered instead of a label."""


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
    return np.where(confidence(chances, found) >= target.decision.abstain_below, found, instead)


def confidence(chances: NDArray[Any], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """The probability of each answer (N,)."""
    return np.asarray(np.take_along_axis(chances, answers[:, None], axis=1)[:, 0])


def asked(target: Target, threshold: float | None) -> Target:
    """The target with the threshold that a request sets: of several labels the one of them all, else of abstaining."""
    if threshold is None or target.kind == "regression":
        return target
    if target.kind == "multi-label":
        return dataclasses.replace(target, thresholds=(threshold,) * len(target.labels))
    return dataclasses.replace(target, decision=dataclasses.replace(target.decision, abstain_below=threshold))


def told(chances: NDArray[Any], target: Target, top_k: int, unsure: str = UNKNOWN) -> list[dict[str, Any]]:
    """One label for each row as a caller sees it, with the likeliest where more than one is wanted.

    Args:
        chances: (N, O).
        target: whose decisions hold.
        top_k: how many of the likeliest labels to list.
        unsure: what is answered where the answer is not sure enough.
    """
    given = decided(chances, target)
    rows = zip(chances, given.tolist(), confidence(chances, given).tolist(), strict=True)
    return [
        {"label": target.labels[number] if score >= target.decision.abstain_below else unsure, "score": score}
        | ({"top": likeliest(row, target, top_k)} if top_k > 1 else {})
        for row, number, score in rows
    ]


def likeliest(row: NDArray[Any], target: Target, count: int) -> list[dict[str, Any]]:
    """The likeliest labels of a row with their probabilities, as a caller sees them."""
    order = (-row).argsort(kind="stable")[:count]
    return [{"label": target.labels[number], "score": float(row[number])} for number in order]
