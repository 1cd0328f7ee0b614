"""Pictures of labels: what is taken for what, and how far the probabilities can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tunesmith.metrics import Counted, Predictions, calibration_bins, confusion_matrix
from tunesmith.report.drawing import ACCENT, BLUE, GRID, HALF, INK, MUTED, ORANGE, SERIES, WARM, WIDE, clipped
from tunesmith.report.model import Report

_MOST_NAMED, _MOST_COUNTED, _MOST_LINES, _FEWEST_ANSWERS = 40, 12, 8, 20


def confusions(report: Report, predictions: Predictions) -> Figure:
    """Confusion matrix.

    Share of each label's rows (down) by what they were taken for (across): blue is right, orange is wrong. With many
    labels axes are numbered as in the table of labels, and faint errors are strengthened.
    """
    matrix = confusion_matrix(predictions)
    count = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    strength = share if count <= _MOST_COUNTED else np.where(share > 0, 0.2 + 0.8 * np.sqrt(share), 0)
    colours = np.dstack([np.broadcast_to(ORANGE, (count, count, 3)), strength])
    colours[np.arange(count), np.arange(count), :3] = BLUE
    named = count <= _MOST_NAMED
    width = HALF if count <= 6 else WIDE * min(1.0, 0.55 + count / 80)
    figure = Figure((width, width * (0.82 if named else 0.98)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(colours, interpolation="none", aspect="auto")
    axes.set(xlabel="predicted", ylabel="target")
    axes.grid(False)
    if named:
        names = [clipped(label, 22) for label in report.labels]
        axes.set_yticks(range(count), names)
        turned: dict[str, Any] = (
            {} if count <= 3 else {"rotation": 45, "ha": "right", "va": "top", "rotation_mode": "anchor"}
        )
        axes.set_xticks(range(count), names, **turned)
        axes.set_yticks(np.arange(count - 1) + 0.5, minor=True)
        axes.set_xticks(np.arange(count - 1) + 0.5, minor=True)
        axes.grid(which="minor", color=GRID)
    else:
        numbers = range(0, count, 10 if count <= 100 else 20)
        axes.set_xticks(numbers, [str(number + 1) for number in numbers])
        axes.set_yticks(numbers, [str(number + 1) for number in numbers])
        axes.grid(color=GRID, linewidth=0.4)
    axes.tick_params(length=0, which="both")
    if count <= _MOST_COUNTED:
        _write_counts(axes, matrix, share)
    return figure


def calibration(report: Report, predictions: Predictions | Counted) -> Figure | None:
    """Calibration.

    How often decisions of a given confidence are right: on the dashed line confidence is what it says, below it the
    model is too sure. The grey line is the network's own confidence, before it was calibrated on the validation rows.
    Under it, how many decisions there are of each confidence.
    """
    if isinstance(predictions, Predictions):
        bins = calibration_bins(predictions)
    else:
        bins = report.trust.after.bins if report.trust else ()
    if not bins:
        return None
    figure = Figure((HALF, 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy = [b.confidence for b in bins], [b.accuracy for b in bins]
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    if report.trust:
        before = report.trust.before.bins
        label = f"as trained, error {report.trust.before.error:.3f}"
        upper.plot([b.confidence for b in before], [b.accuracy for b in before], color=MUTED, marker=".", label=label)
    upper.vlines(confidence, confidence, accuracy, color=WARM, linewidth=1.2)
    label = f"calibrated, error {report.trust.after.error:.3f}" if report.trust else ""
    upper.plot(confidence, accuracy, color=ACCENT, marker="o", markersize=4.5, label=label)
    if report.trust:
        upper.legend(loc="upper left")
    upper.set(ylabel="share that is right", ylim=(0, 1.03), xlim=(0, 1.01))
    lower.bar([b.low for b in bins], [b.rows for b in bins], width=0.094, align="edge", color=ACCENT, alpha=0.6)
    lower.set(xlabel="confidence", ylabel="decisions")
    lower.yaxis.set_major_locator(MaxNLocator(2))
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def coverage(report: Report, predictions: Predictions) -> Figure:
    """Answers withheld.

    What share of the surest answers is right, when those below some probability are withheld (request parameter
    threshold): to the right all rows are answered. Points are such probabilities.
    """
    figure = Figure((HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    order = np.argsort(-predictions.confidence, kind="stable")
    given = np.arange(1, len(order) + 1)
    right = np.cumsum(predictions.correct[order]) / given
    shown = given >= min(_FEWEST_ANSWERS, len(order))
    axes.plot(given[shown] / len(order), right[shown], color=ACCENT)
    for part in report.coverage:
        if part.accuracy is not None and part.threshold and part.rows >= min(_FEWEST_ANSWERS, len(order)):
            own = part.threshold == report.decision.abstain_below
            axes.plot(part.share, part.accuracy, color=WARM if own else ACCENT, marker="o", markersize=4.5)
            axes.annotate(f"{part.threshold:.2g}", (part.share, part.accuracy), (3, 5), textcoords="offset points")
    axes.set(xlabel="rows answered", ylabel="share that is right", xlim=(0, 1.03))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def precision_recall(report: Report, predictions: Predictions) -> Figure | None:
    """Precision and recall.

    What share of a label's rows can be found, and how many wrong ones come with them, as the threshold moves. With
    many labels: all decisions together, the middle label, and the band that holds 80% of the labels.
    """
    marks = predictions.targets
    if predictions.kind == "multi-class":
        marks = (marks[:, None] == np.arange(len(predictions.labels))).astype(np.int64)
    present = np.flatnonzero(marks.any(axis=0))
    if len(predictions.labels) == 2 and predictions.kind == "multi-class":
        present = present[present == 1]
    if not len(present):
        return None
    recalls = np.linspace(0, 1, 101)
    curves = np.stack([_precisions(predictions.scores[:, k], marks[:, k], recalls) for k in present])
    figure = Figure((HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    if len(present) <= _MOST_LINES:
        for colour, label, curve in zip(SERIES, present, curves, strict=False):
            axes.plot(recalls, curve, color=colour, label=clipped(report.labels[label]))
    else:
        low, middle, high = np.quantile(curves, (0.1, 0.5, 0.9), axis=0)
        axes.fill_between(recalls, low, high, color=ACCENT, alpha=0.15, linewidth=0, label="80% of the labels")
        axes.plot(recalls, middle, color=ACCENT, linewidth=1, linestyle=(0, (3, 2)), label="middle label")
        together = _precisions(predictions.scores[:, present].ravel(), marks[:, present].ravel(), recalls)
        axes.plot(recalls, together, color=ACCENT, linewidth=2, label="all decisions together")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.03))
    axes.legend(loc="lower left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def _write_counts(axes: Axes, matrix: np.ndarray, share: np.ndarray) -> None:
    for (target, predicted), rows in np.ndenumerate(matrix):
        if rows:
            colour = "#ffffff" if share[target, predicted] > 0.6 else INK
            axes.text(predicted, target, f"{rows:,}", ha="center", va="center", color=colour, fontsize=8)


def _precisions(scores: np.ndarray, marks: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Best precision that can be had with at least each recall."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(marks[order])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    found = np.searchsorted(hits / hits[-1], recalls - 1e-12)
    return np.asarray(precision[np.minimum(found, len(precision) - 1)])
