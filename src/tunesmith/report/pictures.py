"""The report's pictures. Each is a function whose documentation is its heading and caption; ``PICTURES`` says who has which."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tunesmith.metrics import Predictions, calibration_bins, confusion_matrix, higher_is_better
from tunesmith.report.drawing import ACCENT, GRID, INK, MUTED, SERIES, WARM, as_svg, clipped, style
from tunesmith.report.model import Report, Slice

Drawing = Callable[[Report, Predictions], Figure | None]

_WIDE, _HALF = 10.0, 4.8
"""Widths of pictures in inches, of a whole and of half a page."""

_MOST_NAMED, _MOST_COUNTED = 40, 12
_MOST_LINES, _MOST_BARS, _MOST_POINTS = 8, 40, 1200
_RIGHT, _WRONG = to_rgb("#5b7cfa"), to_rgb("#e5794f")


@dataclass(frozen=True)
class Picture:
    """A drawn picture; ``wide`` ones take the whole width of the page."""

    name: str
    heading: str
    caption: str
    svg: str
    wide: bool


def pictures(report: Report, predictions: Predictions) -> Iterator[Picture]:
    """Every picture of this kind of predictions that has something to show."""
    for drawing in PICTURES[report.kind]:
        name = drawing.__name__
        with style(name):
            figure = drawing(report, predictions)
            if figure is None:
                continue
            svg = as_svg(name, figure)
        heading, _, caption = (inspect.getdoc(drawing) or "").partition("\n")
        wide = figure.get_figwidth() > _HALF
        yield Picture(name, heading.rstrip("."), " ".join(caption.split()), svg, wide)


def learning_curves(report: Report, predictions: Predictions) -> Figure | None:
    """Learning curves.

    Loss of the training batches, pale, with its moving mean; scores of the validation rows, the kept weights marked;
    and the learning rate.
    """
    training, evaluations = report.curves.training, report.curves.evaluations
    if not training and not evaluations:
        return None
    figure = Figure((_WIDE, 2.7), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    steps = [point.step for point in training]
    losses = np.array([point.loss for point in training])
    if len(losses):
        loss.plot(steps, losses, color=ACCENT, alpha=0.3, linewidth=0.8)
        loss.plot(steps, _moving_mean(losses), color=ACCENT)
        rate.plot(steps, [point.learning_rate for point in training], color=ACCENT)
    _validation(score, report)
    rate.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e-"))
    for axes, title in ((loss, "Training loss"), (score, f"Validation {_chosen(report)}"), (rate, "Learning rate")):
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def confusions(report: Report, predictions: Predictions) -> Figure:
    """Confusion matrix.

    Share of each label's rows (down) by what they were taken for (across): blue is right, orange is wrong. With many
    labels axes are numbered as in the table of labels, and faint errors are strengthened.
    """
    matrix = confusion_matrix(predictions)
    count = len(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    strength = share if count <= _MOST_COUNTED else np.where(share > 0, 0.2 + 0.8 * np.sqrt(share), 0)
    colours = np.dstack([np.broadcast_to(_WRONG, (count, count, 3)), strength])
    colours[np.arange(count), np.arange(count), :3] = _RIGHT
    named = count <= _MOST_NAMED
    width = _HALF if count <= 6 else _WIDE * min(1.0, 0.55 + count / 80)
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


def calibration(report: Report, predictions: Predictions) -> Figure | None:
    """Calibration.

    How often decisions of a given confidence are right: on the dashed line confidence is what it says, below it the
    model is too sure. Under it, how many decisions there are of each confidence.
    """
    bins = calibration_bins(predictions)
    if not bins:
        return None
    figure = Figure((_HALF, 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy = [b.confidence for b in bins], [b.accuracy for b in bins]
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    upper.vlines(confidence, confidence, accuracy, color=WARM, linewidth=1.2)
    upper.plot(confidence, accuracy, color=ACCENT, marker="o", markersize=4.5)
    upper.set(ylabel="share that is right", ylim=(0, 1.03), xlim=(0, 1.01))
    lower.bar([b.low for b in bins], [b.rows for b in bins], width=0.094, align="edge", color=ACCENT, alpha=0.6)
    lower.set(xlabel="confidence", ylabel="decisions")
    lower.yaxis.set_major_locator(MaxNLocator(2))
    for axis in (upper.xaxis, upper.yaxis):
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
    figure = Figure((_HALF, 4.0), layout="constrained")
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


def score_by_length(report: Report, predictions: Predictions) -> Figure | None:
    """Score by length of text.

    In buckets of about equally many rows, with 95% intervals: does the model read long texts as well as short ones?
    """
    if len(report.slices) < 2:
        return None
    figure = Figure((_HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    places = range(len(report.slices))
    values = np.array([part.value for part in report.slices])
    bounds = np.array([part.interval or (part.value, part.value) for part in report.slices])
    reach = np.abs(bounds.T - values)
    axes.errorbar(
        places, values, yerr=reach, color=ACCENT, marker="o", markersize=5, capsize=0, elinewidth=5, ecolor=_faint()
    )
    axes.set_xticks(places, [f"{_span(part)}\n{part.rows:,} rows" for part in report.slices], fontsize=7.5)
    name = report.slices[0].metric
    axes.set(xlabel="tokens", ylabel=name if higher_is_better(name) else f"{name} (lower is better)")
    axes.margins(x=0.08, y=0.15)
    return figure


def f1_of_labels(report: Report, predictions: Predictions) -> Figure:
    """F1 of each label.

    Best first, with the number of rows; the mark on each row is the probability from which the label is given. With
    very many labels the weakest are shown; the table has all.
    """
    rows = sorted(report.per_label, key=lambda row: row.f1)[:_MOST_BARS]
    figure = Figure((_WIDE, 0.9 + 0.23 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    axes.barh(places, [row.f1 for row in rows], height=0.68, color=ACCENT, alpha=0.75, label="F1")
    thresholds = [row.threshold for row in rows if row.threshold is not None]
    if len(thresholds) == len(rows):
        axes.scatter(thresholds, places, marker="|", s=90, linewidth=2.2, color=WARM, label="threshold", zorder=3)
        axes.legend(loc="lower right", ncols=2, bbox_to_anchor=(1, 1))
    for place, row in zip(places, rows, strict=True):
        axes.text(1.005, place, f"{row.support:,}", color=MUTED, va="center", fontsize=8)
    axes.set_yticks(places, [clipped(row.label, 32) for row in rows])
    axes.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    axes.tick_params(length=0)
    axes.yaxis.grid(False)
    return figure


def predicted_against_target(report: Report, predictions: Predictions) -> Figure:
    """Predicted against target.

    On the dashed line the answer is right.
    """
    figure = Figure((_HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    both = np.concatenate([predictions.targets, predictions.predicted])
    axes.plot([both.min(), both.max()], [both.min(), both.max()], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    _cloud(axes, predictions.targets, predictions.predicted)
    axes.set(xlabel="target", ylabel="predicted")
    return figure


def residuals_by_length(report: Report, predictions: Predictions) -> Figure:
    """Errors by length of text.

    Predicted minus target; the line is the mean of neighbouring lengths, away from 0 the model leans to one side.
    """
    figure = Figure((_HALF, 4.0), layout="constrained")
    axes = figure.subplots()
    errors = predictions.predicted - predictions.targets
    axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    _cloud(axes, predictions.lengths.astype(np.float64), errors)
    order = np.argsort(predictions.lengths, kind="stable")
    parts = np.array_split(order, min(12, len(order)))
    means = [(predictions.lengths[part].mean(), errors[part].mean()) for part in parts]
    axes.plot(*zip(*means, strict=True), color=WARM)
    axes.set(xlabel="tokens", ylabel="predicted - target")
    return figure


def errors(report: Report, predictions: Predictions) -> Figure:
    """Size of errors.

    How the rows are spread over predicted minus target.
    """
    figure = Figure((_HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(predictions.predicted - predictions.targets, bins=40, color=ACCENT, alpha=0.75)
    axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set(xlabel="predicted - target", ylabel="rows")
    return figure


PICTURES: dict[str, tuple[Drawing, ...]] = {
    "multi-class": (learning_curves, confusions, calibration, precision_recall, score_by_length),
    "multi-label": (learning_curves, f1_of_labels, calibration, precision_recall, score_by_length),
    "regression": (learning_curves, predicted_against_target, residuals_by_length, errors, score_by_length),
}
"""Which pictures each kind of predictions has, in the order of the page."""


def _validation(axes: Axes, report: Report) -> None:
    name, points = _chosen(report), [e for e in report.curves.evaluations if _chosen(report) in e.scores]
    steps, scores = [point.step for point in points], [point.scores[name] for point in points]
    axes.plot(steps, scores, color=ACCENT, marker="o", markersize=3.5)
    kept = [place for place, point in enumerate(points) if point.best]
    if kept:
        axes.plot(steps[kept[-1]], scores[kept[-1]], "o", markersize=10, markerfacecolor="none", markeredgecolor=WARM)
        axes.annotate(
            f"{scores[kept[-1]]:.3f}",
            (steps[kept[-1]], scores[kept[-1]]),
            xytext=(0, -16),
            textcoords="offset points",
            color=WARM,
            ha="center",
            fontsize=8,
        )


def _chosen(report: Report) -> str:
    """The metric that chose the weights, or the headline."""
    return str(report.config.get("train.metric") or report.headline.name)


def _write_counts(axes: Axes, matrix: np.ndarray, share: np.ndarray) -> None:
    for (target, predicted), rows in np.ndenumerate(matrix):
        if rows:
            colour = "#ffffff" if share[target, predicted] > 0.6 else INK
            axes.text(predicted, target, f"{rows:,}", ha="center", va="center", color=colour, fontsize=8)


def _moving_mean(values: np.ndarray) -> np.ndarray:
    """Mean of about a twentieth of the values around each one."""
    reach = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - reach, 0)
    high = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _precisions(scores: np.ndarray, marks: np.ndarray, recalls: np.ndarray) -> np.ndarray:
    """Best precision that can be had with at least each recall."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(marks[order])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    found = np.searchsorted(hits / hits[-1], recalls - 1e-12)
    return np.asarray(precision[np.minimum(found, len(precision) - 1)])


def _cloud(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Points, or where there are many, how dense they lie."""
    if len(x) <= _MOST_POINTS:
        axes.scatter(x, y, s=9, color=ACCENT, alpha=0.45, linewidth=0)
        return
    dense = LinearSegmentedColormap.from_list("dense", [(*_RIGHT, 0.12), (*_RIGHT, 1.0)])
    axes.hexbin(x, y, gridsize=42, mincnt=1, bins="log", cmap=dense, linewidth=0)


def _faint() -> tuple[float, float, float, float]:
    return (*_RIGHT, 0.28)


def _span(part: Slice) -> str:
    return str(part.low) if part.low == part.high else f"{part.low}–{part.high}"
