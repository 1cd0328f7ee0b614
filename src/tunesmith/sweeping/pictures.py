"""Pictures of a sweep. Each is a function whose documentation is its heading and caption."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tunesmith.report.drawing import ACCENT, HALF, INK, MUTED, SERIES, WARM, WIDE, as_svg, clipped, style
from tunesmith.report.pictures import Picture
from tunesmith.sweeping import conclusions, spelled
from tunesmith.sweeping.found import Effect, Found, Row

_COLUMNS = 3
_MOST_CELLS = 14


def effects(found: Found) -> Figure | None:
    """What each parameter does by itself.

    Change of the metric against the value marked, with its 95% interval over rows; between the dashed lines a change does
    not count.
    """
    return _curves(found, found.effects, found.metric, None)


def measures(found: Found) -> Figure | None:
    """What else they change.

    Change of other measures against the same value, with 95% intervals over rows, of the parameters and measures that
    surely differ somewhere.
    """
    shown = [
        (effect, name)
        for effect in found.effects
        for name in effect.levels[0].measures
        if name not in ("tokens_per_second", "cost")
        and any(level.measures[name].is_above_0 or level.measures[name].is_below_0 for level in effect.levels)
    ][:9]
    if not shown:
        return None
    figure, grid = _grid(len(shown))
    for axes, (effect, name) in zip(grid, shown, strict=False):
        _curve(axes, effect, name, None)
        axes.set_title(clipped(f"{name} by {effect.parameter}", 34))
    return figure


def shares(found: Found) -> Figure | None:
    """What the metric varies with.

    Shares of the metric's variation over the settings, of parameters alone and in pairs (functional analysis of variance);
    pale ones are not beyond chance.
    """
    parts = [part for part in found.shares if part.share > 0.001][:12][::-1]
    if not parts:
        return None
    figure, axes = _one(HALF, 1.2 + 0.32 * len(parts))
    colours = [ACCENT if part.p_value <= conclusions.ALPHA else MUTED for part in parts]
    axes.barh(range(len(parts)), [part.share for part in parts], color=colours)
    axes.set_yticks(range(len(parts)), [clipped(" × ".join(part.parameters), 30) for part in parts])
    axes.set_xlabel("share")
    return figure


def interactions(found: Found) -> Figure | None:
    """Two parameters at once.

    The metric for each pair of values, the other parameters taken together.
    """
    pairs = [pair for pair in itertools.combinations(found.axes, 2) if _table(found, *pair) is not None][:6]
    if not pairs:
        return None
    figure, grid = _grid(len(pairs), height=3.0)
    for axes, (across, down) in zip(grid, pairs, strict=False):
        table = _table(found, across, down)
        assert table is not None
        shown, columns, lines = table
        image = axes.imshow(shown, cmap=colormaps["viridis"], aspect="auto", origin="lower")
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), [clipped(each, 8) for each in columns], rotation=45)
        axes.set_yticks(range(len(lines)), [clipped(each, 10) for each in lines])
        axes.set_xlabel(across)
        axes.set_ylabel(down)
        figure.colorbar(image, ax=axes)
    return figure


def beams(found: Found) -> Figure | None:
    """Beams and the length penalty.

    The metric over the length penalty, a line for each width of the beam search.
    """
    if not {"num_beams", "length_penalty"} <= set(found.axes):
        return None
    table = _table(found, "length_penalty", "num_beams")
    if table is None:
        return None
    shown, columns, lines = table
    figure, axes = _one(HALF, 3.2)
    for number, (line, name) in enumerate(zip(shown, lines, strict=True)):
        axes.plot(range(len(columns)), line, color=SERIES[number % len(SERIES)], marker="o", label=f"{name} beams")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_xlabel("length_penalty")
    axes.set_ylabel(found.metric)
    axes.legend(loc="best")
    return figure


def fronts(found: Found) -> Figure | None:
    """The price of the score.

    Settings by the metric and another measure. No other setting beats those on the line in both; the defaults are
    the orange point.
    """
    if not found.fronts:
        return None
    once = [row for row in found.settings if row.run == row.number]
    figure, grid = _grid(len(found.fronts))
    for axes, (name, numbers) in zip(grid, found.fronts.items(), strict=False):
        axes.scatter([row.measures[name] for row in once], [row.score.estimate for row in once], s=18, color=MUTED)
        best = sorted((found.settings[each].measures[name], found.settings[each].score.estimate) for each in numbers)
        axes.plot(*zip(*best, strict=True), color=ACCENT, marker="o", markersize=4)
        first = found.settings[0]
        axes.scatter([first.measures[name]], [first.score.estimate], color=WARM, s=36, zorder=3)
        axes.set_xlabel(name)
        axes.set_ylabel(found.metric)
        axes.set_title(name)
    return figure


_PICTURES: tuple[Callable[[Found], Figure | None], ...] = (effects, shares, beams, interactions, measures, fronts)


def pictures(found: Found) -> Iterator[Picture]:
    """Every picture that has something to show."""
    for drawing in _PICTURES:
        name = drawing.__name__
        with style(name):
            figure = drawing(found)
            if figure is None:
                continue
            svg = as_svg(name, figure)
        heading, _, caption = (inspect.getdoc(drawing) or "").partition("\n")
        yield Picture(name, heading.rstrip("."), " ".join(caption.split()), svg, figure.get_figwidth() > HALF)


def _curves(found: Found, wanted: tuple[Effect, ...], label: str, measure: str | None) -> Figure | None:
    if not wanted:
        return None
    figure, grid = _grid(len(wanted))
    for axes, effect in zip(grid, wanted, strict=False):
        _curve(axes, effect, measure, found.margin)
        axes.set_title(clipped(f"{effect.parameter}: {effect.verdict}", 34))
        axes.set_ylabel(f"{label} − at {clipped(effect.reference, 8)}")
    return figure


def _curve(axes: Axes, effect: Effect, measure: str | None, margin: float | None) -> None:
    """The changes of a parameter's values with their intervals, joined where they are numbers."""
    numeric = all(level.middle is not None for level in effect.levels)
    at: list[float] = [float(level.middle or 0) if numeric else place for place, level in enumerate(effect.levels)]
    changes = [level.effect if measure is None else level.measures[measure] for level in effect.levels]
    finite = [(place, one) for place, one in zip(at, changes, strict=True) if math.isfinite(one.low)]
    axes.axhline(0, color=INK, linewidth=0.8)
    for side in (-1, 1) if margin else ():
        axes.axhline(side * (margin or 0), color=MUTED, linewidth=0.8, linestyle="--")
    axes.vlines([p for p, _ in finite], [one.low for _, one in finite], [one.high for _, one in finite], color=ACCENT)
    axes.plot(at, [one.estimate for one in changes], color=ACCENT, marker="o", markersize=4, lw=1.2 if numeric else 0)
    if not numeric:
        axes.set_xticks(at, [clipped(level.value, 14) for level in effect.levels])


def _table(found: Found, across: str, down: str) -> tuple[Any, list[str], list[str]] | None:
    """Mean score for each pair of values, with their names; None where values were drawn, or are too many."""
    columns, lines = _values(found, across), _values(found, down)
    if not (1 < len(columns) <= _MOST_CELLS and 1 < len(lines) <= _MOST_CELLS):
        return None
    table = np.full((len(lines), len(columns)), np.nan)
    for place in np.ndindex(table.shape):
        scores = [
            row.score.estimate
            for row in found.settings
            if _key(row, across) == columns[place[1]] and _key(row, down) == lines[place[0]]
        ]
        if scores:
            table[place] = float(np.mean(scores))
    return table, columns, lines


def _values(found: Found, name: str) -> list[str]:
    """The values of a parameter as texts, numbers in their order."""
    known = list({repr(row.values[name]): row.values[name] for row in found.settings}.values())
    numeric = all(isinstance(value, int | float) for value in known)
    return [spelled.value(value) for value in (sorted(known) if numeric else known)]


def _key(row: Row, name: str) -> str:
    return spelled.value(row.values[name])


def _one(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _grid(count: int, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure with so many places, the others hidden."""
    columns = min(_COLUMNS, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(WIDE if columns > 1 else HALF, height * lines), layout="constrained")
    places = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in places[count:]:
        axes.set_visible(False)
    return figure, places
