"""A picture of what a parameter does: one small diagram for each number, over the parameter's values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from tunesmith.explaining.found import Column, Found, said
from tunesmith.explaining.phrases import ENGLISH, Said, say
from tunesmith.report import drawing
from tunesmith.report.drawing import ACCENT, MUTED, WARM, WIDE, style

_COLUMNS = 3
_LEFT_OUT = ("median", "distance", "ended")
_MOST, _LAST = 6, ("kl", "path")
_LOGARITHMIC = 20.0
"""How many times the largest value is the least from which on an axis is logarithmic."""


def save(found: Found, file: Path, words: Mapping[str, str] = ENGLISH) -> None:
    """Write the picture, whole or not at all.

    Args:
        found: what to draw.
        file: ends in ``.svg``, which follows a reader's light or dark page, or ``.png``.
        words: of the language to write in.
    """
    with style(found.name):
        drawing.save(found.name, figure(found, words), file)


def figure(found: Found, words: Mapping[str, str] = ENGLISH) -> Figure:
    """The diagrams, each with a dashed line where it would be without the parameter."""
    worth = [one for one in found.columns if one.name not in _LEFT_OUT and _varies(one)] or list(found.columns[:1])
    drawn = sorted(worth, key=lambda one: one.name in _LAST)[:_MOST]
    columns = min(_COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    made = Figure(figsize=(WIDE * columns / _COLUMNS, 2.3 * lines + 0.5), layout="constrained")
    grid = made.subplots(lines, columns, squeeze=False)
    for one, axes in zip(drawn, grid.flat, strict=False):
        _draw(axes, found, one)
        axes.set_title(_headed(one.meaning, words), fontweight="normal")
    for axes in list(grid.flat)[len(drawn) :]:
        axes.set_visible(False)
    made.supxlabel(_title(found, words), color=MUTED, fontsize=9)
    return made


def _draw(axes: Axes, found: Found, one: Column) -> None:
    places = _places(axes, found.values)
    numbers = np.array([np.nan if number is None else number for number in one.numbers], float)
    if one.intervals:
        pairs = np.array([pair or (np.nan, np.nan) for pair in one.intervals])
        axes.fill_between(places, pairs[:, 0], pairs[:, 1], color=ACCENT, alpha=0.15, linewidth=0)
    axes.plot(places, numbers, color=ACCENT, marker="o", markersize=3)
    if one.before is not None:
        axes.axhline(one.before, color=WARM, linewidth=1, linestyle="--")
    axes.ticklabel_format(axis="y", useOffset=False)
    if one.form == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    known = numbers[np.isfinite(numbers)]
    if one.form == "count" and known.min(initial=np.inf) > 0 and known.max() / known.min() >= _LOGARITHMIC:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _places(axes: Axes, values: tuple[Any, ...]) -> list[float]:
    """Where the values stand on the axis, which is set up for them."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        axes.set_xticks(range(len(values)), [drawing.clipped(said(value), 12) for value in values])
        return list(range(len(values)))
    if min(values) > 0 and max(values) / min(values) >= _LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    return [float(value) for value in values]


def _varies(one: Column) -> bool:
    """Whether its numbers differ where they are printed."""
    return len({one.shown(number) for number in (*one.numbers, one.before) if number is not None}) > 1


def _title(found: Found, words: Mapping[str, str]) -> str:
    held = "".join(f", {name} {said(value)}" for name, value in found.held.items())
    dashed = say("without", name=found.name, usual=said(found.usual))
    first = (found.name + held, Path(found.model).name, dashed.told(words))
    return f"{' · '.join(first)}\n{found.about.told(words)}"


def _headed(meaning: Said, words: Mapping[str, str]) -> str:
    """A heading in one line; the conditions are left to the table."""
    return drawing.clipped(re.split("[;；]", meaning.told(words))[0], 40)
