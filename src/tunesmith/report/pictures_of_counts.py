"""Pictures of spans, relations, answers, written texts and rankings."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tunesmith.metrics import Counted, score_rows
from tunesmith.report.drawing import ACCENT, HALF, MUTED, SERIES, WARM, WIDE, clipped, cloud
from tunesmith.report.model import Report

_MOST_BARS = 40
_BUCKETS = 6


def error_kinds(report: Report, predictions: Counted) -> Figure | None:
    """Kinds of error.

    What became of all that is there, type by type: found, found almost, or missed; and, beyond the line, what was found
    and is not there. Counted against the number that is there.
    """
    gold = predictions.column("gold").sum(axis=0)
    order = [label for label in np.argsort(-gold, kind="stable") if gold[label]][:_MOST_BARS]
    if not order:
        return None
    kinds = ("hits", *report.error_kinds)
    figure = Figure((WIDE, 1.1 + 0.27 * len(order)), layout="constrained")
    axes = figure.subplots()
    reached = np.zeros(len(order))
    for colour, kind in zip((ACCENT, *SERIES[2:]), kinds, strict=False):
        share = (predictions.column(kind).sum(axis=0) / np.maximum(gold, 1))[order]
        shown = {"hits": "right"}.get(kind, kind)
        paint = {"invented": WARM, "missed": MUTED}.get(kind, colour)
        axes.barh(range(len(order)), share, left=reached, height=0.68, color=paint, alpha=0.8, label=shown)
        reached += share
    axes.axvline(1, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.set_yticks(range(len(order)), [f"{clipped(report.labels[label], 28)}  {gold[label]:,.0f}" for label in order])
    axes.set(ylim=(len(order) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(length=0)
    axes.yaxis.grid(False)
    axes.legend(loc="lower right", ncols=len(kinds), bbox_to_anchor=(1, 1))
    return figure


def answer_scores(report: Report, predictions: Counted) -> Figure:
    """Quality of the answers.

    Share of the questions by the F1 of their answer: 0 is all wrong, 1 right, between them lie answers that are too
    long, too short or beside.
    """
    return _histogram(predictions.column("f1"), "F1 of an answer", bins=[part / 10 for part in range(11)])


def score_by_answer_length(report: Report, predictions: Counted) -> Figure | None:
    """Score by length of the right answer.

    In buckets of about equally many questions, with 95% intervals; questions without an answer are left out.
    """
    there = predictions.column("gold_length") > 0
    sizes, scores = predictions.column("gold_length")[there], predictions.column("f1")[there]
    if len(np.unique(sizes)) < 2:
        return None
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, _BUCKETS + 1)[1:], method="nearest"))
    place = np.searchsorted(edges, sizes)
    parts = [(sizes[place == bucket], scores[place == bucket]) for bucket in np.unique(place)]
    means = np.array([values.mean() for _, values in parts])
    reach = np.array([1.96 * values.std() / np.sqrt(len(values)) for _, values in parts])
    figure = Figure((HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(range(len(parts)), means, yerr=reach, color=ACCENT, marker="o", markersize=5, elinewidth=1.6)
    names = [f"{size.min():.0f}–{size.max():.0f}\n{len(size):,} rows" for size, _ in parts]
    axes.set_xticks(range(len(parts)), names, fontsize=7.5)
    axes.set(xlabel="characters of the right answer", ylabel="f1")
    axes.margins(x=0.08, y=0.15)
    return figure


def row_scores(report: Report, predictions: Counted) -> Figure | None:
    """Quality of single answers.

    How the rows are spread over the score of each by itself; the line is the mean.
    """
    name = "rougeL" if "rougeL" in report.metrics else "chrf"
    answered = predictions.column("answered") > 0
    if not answered.any():
        return None
    return _histogram(score_rows(predictions, name)[answered], f"{name} of an answer", bins=24)


def answer_lengths(report: Report, predictions: Counted) -> Figure | None:
    """Length of the answers.

    Words of each answer against words of its reference; on the dashed line they are as long, below it shorter.
    """
    answered = predictions.column("answered") > 0
    if not answered.any():
        return None
    reference, answer = (predictions.column(f"{of}_length")[answered] for of in ("reference", "answer"))
    figure = Figure((HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    longest = max(reference.max(), answer.max())
    axes.plot([0, longest], [0, longest], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    cloud(axes, reference, answer)
    axes.set(xlabel="words of the reference", ylabel="words of the answer")
    return figure


def surprise(report: Report, predictions: Counted) -> Figure:
    """Surprise by the references.

    How the rows are spread over the perplexity of their reference: between how many tokens the model hesitated at each
    place, on average. The line is the perplexity of all.
    """
    values = score_rows(predictions, "perplexity")
    values = values[np.isfinite(values)]
    bins = np.geomspace(max(values.min(), 1), max(values.max(), 1.1), 30).tolist()
    figure = _histogram(values, "perplexity of a reference", bins=bins, middle=report.metrics["perplexity"])
    figure.axes[0].set_xscale("log")
    _plain_ticks(figure.axes[0])
    return figure


def ranks(report: Report, predictions: Counted) -> Figure:
    """Place of the right match.

    Share of the queries whose right match is among the first ones, as more of them are looked at.
    """
    places, count = np.unique(predictions.column("rank"), return_counts=True)
    share = count.cumsum() / len(predictions)
    if places[0] > 1:
        places, share = np.r_[1, places], np.r_[0, share]
    figure = Figure((HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.step(places, share, where="post", color=ACCENT)
    axes.set(xlabel="matches looked at", ylabel="queries whose match is among them", xscale="log", ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _plain_ticks(axes)
    return figure


def _histogram(values: np.ndarray, label: str, bins: int | list[float], middle: float | None = None) -> Figure:
    figure = Figure((HALF, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), color=ACCENT, alpha=0.75)
    axes.axvline(values.mean() if middle is None else middle, color=WARM, linewidth=1.4)
    axes.set(xlabel=label, ylabel="rows")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Numbers on a logarithmic axis as numbers."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
