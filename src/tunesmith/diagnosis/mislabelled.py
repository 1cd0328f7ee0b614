"""Rows whose labels are likely wrong, by confident learning, and rows for which two labels are about equally likely.

Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels") counts
how often each label was given where another one is held for confident, and from these counts tells how many labels are
wrong and which. It is computed by cleanlab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.errors import UsageError
from tunesmith.metrics import Predictions

NEARLY_EQUAL = 0.1
"""Labels whose probabilities differ by no more are in question, whichever is the larger."""

_LIKELY_TOGETHER = 0.6
_SURE = 0.5


@dataclass(frozen=True)
class Doubts:
    """What is doubted, by number of the row.

    Args:
        errors: rows whose labels are likely wrong, worst first.
        ambiguous: other rows for which two labels are about equally likely, closest first.
        suggested: marks of the labels that each row would get; bool, (rows, labels). Of an ambiguous row with one label
            it is the other of the two.
        probability: of each row's suggestion, (rows,); see ``model.Suspect``.
        margin: of each row, (rows,).
    """

    errors: np.ndarray
    ambiguous: np.ndarray
    suggested: np.ndarray
    probability: np.ndarray
    margin: np.ndarray


def doubts(predictions: Predictions) -> Doubts:
    """Look through labels.

    Args:
        predictions: of rows by models that did not see them; one label a row or several.

    Raises:
        UsageError: cleanlab is not installed.
    """
    several = predictions.kind == "multi-label"
    given, scores = _given(predictions), predictions.scores
    suggested = _suggested(predictions)
    changed = suggested != given
    likely = np.where(suggested, scores, 1 - scores)
    probability = np.where(changed, likely, 1.0).min(1) if several else scores.max(1)
    margin = _margins(given, scores)
    errors = _issues(predictions)
    errors = errors[changed[errors].any(1)]
    close = _closeness(scores, margin, several)
    others = np.setdiff1d(np.flatnonzero(close <= NEARLY_EQUAL), errors)
    if not several:  # the label that a row has says nothing new
        as_given = others[~changed[others].any(1)]
        second = np.where(given[as_given], -1.0, scores[as_given])
        suggested[as_given] = np.eye(scores.shape[1], dtype=bool)[second.argmax(1)]
        probability[as_given] = second.max(1)
    return Doubts(errors, others[np.argsort(close[others], kind="stable")], suggested, probability, margin)


def _issues(predictions: Predictions) -> np.ndarray:
    """Rows that confident learning holds for mislabelled, worst first."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        hint = "pip install 'tunesmith[doctor]'"
        raise UsageError("finding label errors needs the package cleanlab", hint=hint) from None
    # Labels that no row has are no candidates, and cleanlab would count them.
    seen = np.flatnonzero(_given(predictions).any(0))
    scores = predictions.scores[:, seen]
    if predictions.kind == "multi-class":
        labels: Any = np.searchsorted(seen, predictions.targets)
        scores = scores / scores.sum(1, keepdims=True)
        ranked = "normalized_margin"
    else:
        labels = [np.flatnonzero(row).tolist() for row in predictions.targets[:, seen]]
        ranked = "self_confidence"
    found = find_label_issues(
        labels, scores, return_indices_ranked_by=ranked, multi_label=predictions.kind == "multi-label", n_jobs=1
    )
    return np.asarray(found, np.int64)


def _given(predictions: Predictions) -> np.ndarray:
    """Marks of the labels that rows have; bool, (rows, labels)."""
    if predictions.kind == "multi-label":
        return np.asarray(predictions.targets, bool)
    return np.asarray(np.eye(len(predictions.labels), dtype=bool)[predictions.targets])


def _suggested(predictions: Predictions) -> np.ndarray:
    if predictions.kind == "multi-label":
        return np.asarray(predictions.scores >= _SURE)
    return np.asarray(np.eye(len(predictions.labels), dtype=bool)[predictions.scores.argmax(1)])


def _margins(given: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Lowest probability of a label given, less the highest of one not given."""
    least = np.where(given, scores, 1.0).min(1)
    most = np.where(given, 0.0, scores).max(1)
    return np.asarray(least - most)


def _closeness(scores: np.ndarray, margin: np.ndarray, several: bool) -> np.ndarray:
    """How far the two labels in question are apart; 1 where there is no question."""
    if several:
        return np.asarray(np.abs(margin))
    if scores.shape[1] < 2:
        return np.ones(len(scores))
    top = np.sort(scores, axis=1)[:, -2:]
    return np.where(top.sum(1) >= _LIKELY_TOGETHER, top[:, 1] - top[:, 0], 1.0)
