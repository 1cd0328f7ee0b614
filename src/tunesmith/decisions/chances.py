"""From what a network gives for sequences to probabilities of labels, or values, of the rows that they are windows of.

Shapes: S sequences, N rows, O labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from tunesmith.decisions import answers

if TYPE_CHECKING:
    from tunesmith.tasks.base import Target

Array = NDArray[np.float64]
Activation = Literal["auto", "softmax", "sigmoid", "none"]


def of_rows(
    outputs: Sequence[NDArray[Any]], rows: NDArray[Any], target: Target, activation: Activation, *, votes: bool
) -> Array:
    """Values (N,), or calibrated probabilities (N, O), beside which stand the scores that are shown instead (N, 2O).

    Args:
        outputs: of each sequence, (O,).
        rows: of each sequence; every row has one.
        target: what is predicted.
        activation: what is shown instead of probabilities, of the mean output of a row's windows; auto: nothing.
        votes: windows vote for labels; else their probabilities are averaged.
    """
    raw = np.stack(outputs).astype(np.float64)
    found = _chances(raw, rows, target, votes)
    if activation == "auto" or target.kind == "regression":
        return found
    shown = _means(raw, rows)
    if activation != "none":
        shown = softmax(shown, axis=1) if activation == "softmax" else expit(shown)
    return np.concatenate([found, shown], axis=1)


def are_votes(shares: Array, rows: NDArray[Any]) -> bool:
    """Whether these are shares of the windows of each row, which are no probabilities that could be calibrated."""
    votes = shares * np.bincount(rows)[:, None]
    return bool((np.abs(votes - votes.round()) < 1e-9).all())


def _chances(raw: Array, rows: NDArray[Any], target: Target, votes: bool) -> Array:
    if target.kind == "regression":
        mean, deviation = target.scale
        return _means(raw[:, 0] * deviation + mean, rows)
    one_label = target.kind == "multi-class"
    found = softmax(raw, axis=1) if one_label else expit(raw)
    if votes and len(found) > rows[-1] + 1:
        return _means(np.eye(found.shape[1])[found.argmax(1)] if one_label else (found >= answers.EVEN) * 1.0, rows)
    return answers.calibrated(_means(found, rows), target)


def _means(found: Array, rows: NDArray[Any]) -> Array:
    """The mean of the windows of each row."""
    sums = np.zeros((int(rows[-1]) + 1, *found.shape[1:]))
    np.add.at(sums, rows, found)
    means: Array = sums / np.bincount(rows).reshape(-1, *[1] * (found.ndim - 1))
    return means
