"""Pictures of a search. Each is a function whose documentation is its heading and caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tunesmith.report.drawing import ACCENT, HALF, INK, MUTED, SERIES, WARM, WIDE, clipped
from tunesmith.report.pictures import Picture, drawn
from tunesmith.search.report import Found, Row

_SHADES = "viridis"


def history(found: Found) -> Figure | None:
    """Trials in their order.

    The best score so far, every trial that came to a score, and the defaults, all on the validation rows.
    """
    rows = found.complete
    if not rows:
        return None
    figure, axes = _one(WIDE, 3.0)
    numbers = [row.number for row in rows]
    scores = np.array([row.values[0] for row in rows])
    best = found.sign * np.maximum.accumulate(found.sign * scores)
    axes.step(numbers, best, where="post", color=ACCENT, label="best so far")
    axes.scatter(numbers, scores, s=22, color=ACCENT, alpha=0.6, linewidth=0, label="complete")
    pruned = [row for row in found.trials if row.state == "pruned" and row.curve]
    if pruned:
        axes.scatter(
            [row.number for row in pruned],
            [row.curve[-1][1] for row in pruned],
            s=22,
            facecolor="none",
            edgecolor=MUTED,
            label="pruned",
        )
    if found.defaults and found.defaults.values:
        axes.axhline(found.defaults.values[0], color=WARM, linewidth=1, linestyle="--", label="defaults")
    axes.set_xlabel("trial")
    axes.set_ylabel(found.objectives[0])
    axes.legend(loc="best")
    return figure


def seeds(found: Found) -> Figure | None:
    """The winner against the defaults.

    Each line is one seed, with which both were trained anew; on the right the mean of the gain and its 95% interval.
    """
    verdict = found.verdict
    if verdict is None:
        return None
    figure = Figure(figsize=(HALF, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    for old, new in zip(verdict.defaults, verdict.winner, strict=True):
        left.plot([0, 1], [old, new], color=MUTED, linewidth=1)
    left.scatter([0] * len(verdict.seeds), verdict.defaults, color=WARM, s=24, zorder=3)
    left.scatter([1] * len(verdict.seeds), verdict.winner, color=ACCENT, s=24, zorder=3)
    left.set_xticks([0, 1], ["defaults", "winner"])
    left.set_xlim(-0.4, 1.4)
    left.set_ylabel(f"{verdict.metric}, {verdict.split} rows")
    right.axhline(0, color=INK, linewidth=0.8)
    if verdict.interval:
        right.vlines(0, *verdict.interval, color=ACCENT, linewidth=2)
    right.scatter([0], [verdict.gain], color=ACCENT, s=32, zorder=3)
    right.set_xticks([0], ["gain"])
    right.set_xlim(-1, 1)
    return figure


def importance(found: Found) -> Figure | None:
    """What mattered.

    Shares of the score's variation by fANOVA, over all complete trials, and by PED-ANOVA, which asks what tells the best
    trials from the others. With few trials both are rough.
    """
    if not found.importance:
        return None
    names = list(next(iter(found.importance.values())))[::-1]
    figure, axes = _one(HALF, 1.2 + 0.34 * len(names))
    height = 0.8 / len(found.importance)
    for place, (way, shares) in enumerate(found.importance.items()):
        at = [number + (0.5 - place) * height for number in range(len(names))]
        axes.barh(
            at, [shares.get(name, 0.0) for name in names], height=height, color=SERIES[place], label=_WAYS.get(way, way)
        )
    axes.set_yticks(range(len(names)), [clipped(name) for name in names])
    axes.set_xlabel("share")
    axes.legend(loc="lower right")
    return figure


def curves(found: Found) -> Figure | None:
    """Scores while training.

    The best score of each trial until a share of its steps was done. A line that ends early was pruned.
    """
    rows = [row for row in found.trials if len(row.curve) > 1 or (row.curve and row.state == "pruned")]
    if not rows:
        return None
    figure, axes = _one(HALF, 3.2)
    for row in rows:
        colour, width = (MUTED, 0.8) if row.number != found.winner else (ACCENT, 2.0)
        colour = WARM if row.is_defaults and row.number != found.winner else colour
        axes.plot(*zip(*row.curve, strict=True), color=colour, linewidth=width, marker="o", markersize=2.5)
    axes.plot([], [], color=ACCENT, label="winner")
    axes.plot([], [], color=WARM, label="defaults")
    axes.plot([], [], color=MUTED, label="others")
    axes.set_xlabel("share of the steps, percent")
    axes.set_ylabel(found.objectives[0])
    axes.legend(loc="lower right" if found.sign > 0 else "upper right")
    return figure


def slices(found: Found) -> Figure | None:
    """Each parameter by itself.

    The score of every complete trial against the value that it tried; later trials are brighter.
    """
    rows, names = found.complete, list(found.space)
    if len(rows) < 2 or not names:
        return None
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(WIDE, 2.5 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    shades = colormaps[_SHADES]
    colours = [shades(row.number / max(1, rows[-1].number)) for row in rows]
    for name, axes in zip(names, grid.flat, strict=False):
        places = _places(found, name, rows, axes)
        axes.scatter(places, [row.values[0] for row in rows], s=20, color=colours, alpha=0.9, linewidth=0)
        axes.set_title(clipped(name))
    for axes in list(grid.flat)[len(names) :]:
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel(found.objectives[0])
    return figure


def parallel(found: Found) -> Figure | None:
    """All parameters at once.

    A line is a complete trial, from its values to its score; the brighter, the better. The winner is thick.
    """
    rows, names = found.complete, list(found.space)
    if len(rows) < 2 or len(names) < 2:
        return None
    figure, axes = _one(WIDE, 3.6)
    columns = [_unit(found, name, rows) for name in names]
    scores = np.array([row.values[0] for row in rows])
    span = float(np.ptp(scores)) or 1.0
    height = (scores - scores.min()) / span
    table = np.stack([*columns, height], axis=1)
    shades = colormaps[_SHADES]
    for row, line, share in zip(rows, table, height if found.sign > 0 else 1 - height, strict=True):
        axes.plot(line, color=shades(share), linewidth=3 if row.number == found.winner else 1, alpha=0.85)
    labels = [clipped(name.partition(".")[2] or name, 18) for name in names]
    axes.set_xticks(range(len(names) + 1), [*labels, found.objectives[0]])
    axes.set_yticks([])
    for place, name in enumerate(names):
        low, high = _extent(found, name, rows)
        axes.annotate(low, (place, 0), xytext=(3, -10), textcoords="offset points", color=MUTED, fontsize=7)
        axes.annotate(high, (place, 1), xytext=(3, 4), textcoords="offset points", color=MUTED, fontsize=7)
    axes.set_ylim(-0.12, 1.12)
    return figure


def front(found: Found) -> Figure | None:
    """The price of the score.

    Trials by what was sought. Those on the line are beaten by no other in everything.
    """
    rows = found.complete
    if len(found.objectives) < 2 or not rows:
        return None
    others = found.objectives[1:]
    figure = Figure(figsize=(WIDE if len(others) > 1 else HALF, 3.2), layout="constrained")
    for axes, place in zip(figure.subplots(1, len(others), squeeze=False)[0], range(1, len(others) + 1), strict=True):
        axes.scatter([row.values[place] for row in rows], [row.values[0] for row in rows], s=20, color=MUTED)
        best = sorted((row.values[place], row.values[0]) for row in rows if row.number in found.front)
        axes.plot(*zip(*best, strict=True), color=ACCENT, marker="o", markersize=5)
        axes.set_xlabel(f"{others[place - 1]}, {_UNITS[others[place - 1]]}")
        axes.set_ylabel(found.objectives[0])
    return figure


_WAYS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}
_UNITS = {"latency": "ms a text", "size": "MB"}
_PICTURES: tuple[Callable[[Found], Figure | None], ...] = (
    history,
    seeds,
    importance,
    curves,
    front,
    slices,
    parallel,
)


def pictures(found: Found) -> Iterator[Picture]:
    """Every picture that has something to show."""
    return drawn(_PICTURES, found)


def _one(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _values(rows: tuple[Row, ...], name: str) -> list[Any]:
    return [row.parameters.get(name) for row in rows]


def _numeric(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _is_log(found: Found, name: str) -> bool:
    return found.scales[name] == "log"


def _names(values: list[Any]) -> list[str]:
    """Texts of choices, in order of their numbers where they are numbers."""
    ordered = sorted(set(values)) if _numeric(values) else sorted(set(values), key=str)
    return [_text(value) for value in ordered]


def _text(value: Any) -> str:
    return "none" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _places(found: Found, name: str, rows: tuple[Row, ...], axes: Axes) -> list[Any]:
    """Where the values stand on an axis, which is set up for them."""
    values = _values(rows, name)
    if found.scales[name] != "choices":
        if _is_log(found, name):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        return values
    names = _names(values)
    axes.set_xticks(range(len(names)), [clipped(each, 12) for each in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    return [names.index(_text(value)) for value in values]


def _unit(found: Found, name: str, rows: tuple[Row, ...]) -> np.ndarray:
    """The values as numbers from 0 to 1."""
    values = _values(rows, name)
    if found.scales[name] != "choices":
        numbers = np.log(values) if _is_log(found, name) else np.array(values, float)
    else:
        names = _names(values)
        numbers = np.array([names.index(_text(value)) for value in values], float)
    span = float(np.ptp(numbers))
    return (numbers - numbers.min()) / span if span else np.full(len(numbers), 0.5)


def _extent(found: Found, name: str, rows: tuple[Row, ...]) -> tuple[str, str]:
    """The least and the greatest value in words."""
    values = _values(rows, name)
    if found.scales[name] != "choices":
        return _text(min(values)), _text(max(values))
    names = _names(values)
    return clipped(names[0], 10), clipped(names[-1], 10) if len(names) > 1 else ""
