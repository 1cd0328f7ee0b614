"""Pictures that any kind of predictions may have."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tunesmith.metrics import Counted, Predictions, higher_is_better
from tunesmith.report.drawing import ACCENT, BLUE, HALF, MUTED, WARM, WIDE, clipped
from tunesmith.report.model import Report, Slice

_MOST_BARS = 40


def learning_curves(report: Report, predictions: Predictions | Counted) -> Figure | None:
    """Learning curves.

    Loss of the training batches, pale, with its moving mean; scores of the validation rows, the kept weights marked;
    and the learning rate.
    """
    training, evaluations = report.curves.training, report.curves.evaluations
    if not training and not evaluations:
        return None
    figure = Figure((WIDE, 2.7), layout="constrained")
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


def score_by_length(report: Report, predictions: Predictions | Counted) -> Figure | None:
    """Score by length of text.

    In buckets of about equally many rows, with 95% intervals: does the model read long texts as well as short ones?
    """
    if len(report.slices) < 2:
        return None
    figure = Figure((HALF, 3.2), layout="constrained")
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


def f1_of_labels(report: Report, predictions: Predictions | Counted) -> Figure:
    """F1 of each label.

    Best first, with how often it is there; a mark, if any, is the probability from which the label is given. With very
    many labels the weakest are shown; the table has all.
    """
    rows = sorted(report.per_label, key=lambda row: row.f1)[:_MOST_BARS]
    figure = Figure((WIDE, 0.9 + 0.23 * len(rows)), layout="constrained")
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


def _moving_mean(values: np.ndarray) -> np.ndarray:
    """Mean of about a twentieth of the values around each one."""
    reach = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    low = np.maximum(np.arange(len(values)) - reach, 0)
    high = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _faint() -> tuple[float, float, float, float]:
    return (*BLUE, 0.28)


def _span(part: Slice) -> str:
    return str(part.low) if part.low == part.high else f"{part.low}–{part.high}"
