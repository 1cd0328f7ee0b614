"""Pictures of a study. Each is a function whose documentation is its heading and caption."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tunesmith.report.drawing import ACCENT, MUTED, WARM, WIDE, clipped
from tunesmith.report.pictures import Picture, drawn
from tunesmith.search.show import text
from tunesmith.studying.found import Effect, Found

_A_ROW = 3
_SHADES = "viridis"


def effects(found: Found) -> Figure | None:
    """What each parameter does.

    The mean score by value, the other parameters and the seeds taken together; thin lines are single seeds. Bars are the 95 %
    intervals of the difference from the default's value, which is marked.
    """
    if not found.effects:
        return None
    rows = -(-len(found.effects) // _A_ROW)
    figure = Figure(figsize=(WIDE, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, min(_A_ROW, len(found.effects)), squeeze=False, sharey=True)
    for axes, effect in itertools.zip_longest(grid.flat, found.effects):
        if effect is None:
            axes.set_axis_off()
        else:
            _effect(axes, effect, found)
    for line in grid:
        line[0].set_ylabel(found.metric)
    return figure


def together(found: Found) -> Figure | None:
    """Two parameters together.

    The mean score of each pair of values, for the pairs of parameters that explain most together.
    """
    pairs = sorted(found.interactions, key=lambda pair: -found.interactions[pair])[:_A_ROW]
    if not pairs:
        return None
    figure = Figure(figsize=(WIDE, 3.0), layout="constrained")
    grid = figure.subplots(1, len(pairs), squeeze=False)
    for axes, (first, second) in zip(grid.flat, pairs, strict=True):
        rows, columns = (next(one for one in found.effects if one.parameter == name) for name in (first, second))
        table = np.array(
            [[found.mean({first: row.value, second: column.value}) for column in columns.levels] for row in rows.levels]
        )
        image = axes.imshow(table, cmap=_SHADES, aspect="auto", origin="lower")
        _ticks(axes, columns)
        axes.set_yticks(range(len(rows.levels)), [clipped(text(level.value), 9) for level in rows.levels])
        axes.set_xlabel(second)
        axes.set_ylabel(first)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes)
    return figure


def pictures(found: Found) -> Iterator[Picture]:
    """Every picture that has something to show."""
    return drawn((effects, together), found)


def _effect(axes: Axes, effect: Effect, found: Found) -> None:
    places = np.arange(len(effect.levels))
    scores = np.array([level.score for level in effect.levels])
    for seed in found.seeds:
        axes.plot(
            places, [_of_seed(found, effect, level.value, seed) for level in effect.levels], color=MUTED, linewidth=0.6
        )
    axes.plot(places, scores, color=ACCENT)
    default = next((place for place, level in enumerate(effect.levels) if level.value == effect.default), None)
    if default is not None:
        axes.scatter([default], [scores[default]], color=WARM, s=32, zorder=3)
    for place, level in enumerate(effect.levels):
        if level.interval is not None and default is not None:
            ends = sorted(scores[default] + found.sign * end for end in level.interval)
            axes.vlines(place, *ends, color=ACCENT, linewidth=1.2)
    axes.set_title(clipped(effect.parameter, 30))
    _ticks(axes, effect)


def _of_seed(found: Found, effect: Effect, value: Any, seed: int) -> float:
    own = [row.score for row in found.rows if row.seed == seed and row.values[effect.parameter] == value]
    return float(np.mean(own)) if own else float("nan")


def _ticks(axes: Axes, effect: Effect) -> None:
    names = [clipped(text(level.value), 9) for level in effect.levels]
    axes.set_xticks(range(len(names)), names)
