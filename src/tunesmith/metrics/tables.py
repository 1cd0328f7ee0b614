"""Tables of predictions: scikit-learn's report, scores by label, confusions, calibration."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from tunesmith.metrics.predictions import Predictions
from tunesmith.metrics.sample import Sample
from tunesmith.metrics.scores import score


def classification_report(predictions: Predictions, digits: int = 4) -> str:
    """scikit-learn's text for these predictions, every known label listed; for regression a table in its style.

    Args:
        predictions: of any kind.
        digits: decimals.
    """
    if predictions.kind == "regression":
        return _regression_report(predictions, digits)
    from sklearn.metrics import classification_report as sklearn_report

    with warnings.catch_warnings():  # a label without rows scores 0, which the table shows by its support of 0
        warnings.simplefilter("ignore")
        text: str = sklearn_report(
            predictions.targets,
            predictions.predicted,
            labels=np.arange(len(predictions.labels)),
            target_names=list(predictions.labels),
            digits=digits,
            zero_division=0,
        )
    return text


def _regression_report(predictions: Predictions, digits: int) -> str:
    values = score(predictions)
    width = max(map(len, [*values, "support"]))
    rows = [f"{name:>{width}}  {value:>9.{digits}f}" for name, value in values.items()]
    head, foot = f"{'':>{width}}  {'value':>9}", f"{'support':>{width}}  {len(predictions):>9}"
    return "\n".join([head, "", *rows, "", foot, ""])


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label; ``support`` rows have it, ``predicted`` rows were given it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    threshold: float | None = None


def label_table(predictions: Predictions, thresholds: np.ndarray | None = None) -> tuple[LabelScore, ...]:
    """Scores of every label in the order of the labels; empty for regression.

    Args:
        predictions: of any kind.
        thresholds: ``(labels,)`` probabilities from which a label was given, for multi-label.
    """
    if predictions.kind == "regression":
        return ()
    sample = Sample(predictions, np.ones((1, len(predictions))))
    rows = zip(predictions.labels, sample.hits[0], sample.predicted[0], sample.actual[0], strict=True)
    return tuple(
        LabelScore(
            label=label,
            precision=float(hits / max(predicted, 1)),
            recall=float(hits / max(actual, 1)),
            f1=float(2 * hits / max(predicted + actual, 1)),
            support=int(actual),
            predicted=int(predicted),
            threshold=None if thresholds is None else float(thresholds[number]),
        )
        for number, (label, hits, predicted, actual) in enumerate(rows)
    )


@dataclass(frozen=True)
class Confusion:
    """How many rows of label ``target`` were called ``predicted``, and their share of the target's rows."""

    target: str
    predicted: str
    rows: int
    share: float


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """``(labels, labels)`` counts of multi-class predictions, targets down, predictions across."""
    count = len(predictions.labels)
    cells = np.bincount(predictions.targets * count + predictions.predicted, minlength=count * count)
    return np.asarray(cells.reshape(count, count))


def confusions(predictions: Predictions, most: int = 20) -> tuple[Confusion, ...]:
    """The most frequent confusions of multi-class predictions, most frequent first; empty for other kinds."""
    if predictions.kind != "multi-class":
        return ()
    matrix = confusion_matrix(predictions)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(cell) // len(matrix), int(cell) % len(matrix)) for cell in order if wrong.flat[cell]]
    labels, support = predictions.labels, matrix.sum(axis=1)
    return tuple(Confusion(labels[t], labels[p], int(wrong[t, p]), float(wrong[t, p] / support[t])) for t, p in pairs)


@dataclass(frozen=True)
class CalibrationBin:
    """Decisions whose confidence lies in ``(low, high]``: their number, mean confidence, and share that is right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def calibration_bins(predictions: Predictions, bins: int = 10) -> tuple[CalibrationBin, ...]:
    """Confidence against accuracy in equal bins of confidence; bins without rows are left out, regression has none.

    Multi-class counts the predicted label of each row, multi-label the probability of every label of every row.
    """
    if predictions.kind == "regression":
        return ()
    if predictions.kind == "multi-class":
        confidence = np.take_along_axis(predictions.scores, predictions.predicted[:, None], axis=1)[:, 0]
        right = predictions.correct.astype(np.float64)
    else:
        confidence, right = predictions.scores.ravel(), predictions.targets.ravel().astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    mean_confidence = np.bincount(place, confidence, minlength=bins) / np.maximum(rows, 1)
    accuracy = np.bincount(place, right, minlength=bins) / np.maximum(rows, 1)
    return tuple(
        CalibrationBin(b / bins, (b + 1) / bins, int(rows[b]), float(mean_confidence[b]), float(accuracy[b]))
        for b in range(bins)
        if rows[b]
    )
