"""What each parameter does by itself: its values against one of them, the other parameters taken together.

Over the settings an additive model is fitted in each row (least squares); on a balanced grid its contrasts are the plain
differences of means. A row gives one number a contrast, so intervals and tests are paired tests over rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.effects import corrections, equivalence, intervals
from tunesmith.sweeping import race, spelled
from tunesmith.sweeping.found import Effect, Level, Verdict

Array = NDArray[np.float64]

ALPHA = 0.05
_MOST_LEVELS = 12
_BINS = 4
_ROUNDING = 1e-10


@dataclass(frozen=True)
class Grouped:
    """A parameter's values in groups: each value by itself, or of many numbers equally large parts of them.

    Args:
        names: of the groups, in their order.
        middles: where they stand on an axis; None: they are no numbers.
        places: ``(settings,)`` number of each setting's group.
        reference: number of the group that the others are held against.
    """

    names: tuple[str, ...]
    middles: tuple[float | None, ...]
    places: NDArray[np.int64]
    reference: int


def grouped(values: Sequence[Any], default: Any) -> Grouped:
    """Group the settings' values of a parameter; the reference is the default's group, else the first.

    >>> grouped([0.5, 1.0, 0.5], 1.0).names
    ('0.5', '1')
    """
    known = list({repr(value): value for value in values}.values())
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if numeric and len(known) > _MOST_LEVELS:
        return _binned(np.array(values, float), default)
    ordered = sorted(known) if numeric else known
    keys = [repr(value) for value in ordered]
    places = np.array([keys.index(repr(value)) for value in values])
    reference = keys.index(repr(default)) if repr(default) in keys else 0
    middles = tuple(float(value) if numeric else None for value in ordered)
    return Grouped(tuple(map(spelled.value, ordered)), middles, places, reference)


def effects(
    names: Sequence[str],
    settings: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any],
    values: Array,
    measured: Mapping[str, Array],
    *,
    margin: float,
    random: np.random.Generator,
) -> tuple[Effect, ...]:
    """What each parameter does.

    Args:
        names: the parameters.
        settings: values of each setting.
        defaults: the bundle's values.
        values: ``(settings, rows)`` the metric by row.
        measured: the same of other measures.
        margin: changes below it do not count.
        random: of the intervals.
    """
    groups = {name: grouped([one[name] for one in settings], defaults.get(name)) for name in names}
    contrasts = _contrasts(groups, len(settings))
    changes = {key: _unrounded(weights @ values, values) for key, weights in contrasts.items()}
    tests = {key: p_two_sided(change) for key, change in changes.items()}
    adjusted = dict(zip(tests, corrections.holm(list(tests.values())), strict=True))
    return tuple(
        _effect(name, groups[name], contrasts, changes, adjusted, values, measured, margin, random) for name in names
    )


def p_two_sided(differences: Array) -> float:
    """p-value of "the mean is 0"; never less than what signs alone could show."""
    if float(differences.mean()) < 0:
        differences = -differences
    return min(1.0, 2 * race.p_better(differences))


def _contrasts(groups: Mapping[str, Grouped], settings: int) -> dict[tuple[str, int], Array]:
    """For each group that is no reference ``(settings,)`` weights, which give its change in an additive model."""
    keys = [
        (name, number) for name, one in groups.items() for number in range(len(one.names)) if number != one.reference
    ]
    columns = [np.ones(settings)] + [(groups[name].places == number).astype(np.float64) for name, number in keys]
    solved = np.linalg.pinv(np.stack(columns, axis=1))
    return dict(zip(keys, solved[1:], strict=True))


def _effect(
    name: str,
    group: Grouped,
    contrasts: Mapping[tuple[str, int], Array],
    changes: Mapping[tuple[str, int], Array],
    adjusted: Mapping[tuple[str, int], float],
    values: Array,
    measured: Mapping[str, Array],
    margin: float,
    random: np.random.Generator,
) -> Effect:
    levels: list[Level] = []
    tests: list[equivalence.Equivalence] = []
    for number, label in enumerate(group.names):
        score = float(values[group.places == number].mean())
        if number == group.reference:
            same = {measure: _nothing() for measure in measured}
            levels.append(Level(label, group.middles[number], score, _nothing(), 1.0, 0.0, same))
            continue
        key = name, number
        if values.shape[1] > 1:
            tests.append(equivalence.tost(changes[key], margin, ALPHA))
        others = {
            each: intervals.of_mean(_unrounded(contrasts[key] @ rows, rows), random, resamples=500)
            for each, rows in measured.items()
        }
        effect = intervals.of_mean(changes[key], random)
        p_equivalent = tests[-1].p_equivalent if tests else 1.0
        levels.append(Level(label, group.middles[number], score, effect, float(adjusted[key]), p_equivalent, others))
    needed = [one.needed_rows for one in tests]
    return Effect(
        name,
        group.names[group.reference],
        tuple(levels),
        _verdict(levels, bool(tests)),
        power=min((one.power for one in tests), default=0.0),
        least_detectable=max((one.least_detectable for one in tests), default=math.inf),
        needed_rows=None if None in needed or not needed else max(each for each in needed if each is not None),
    )


def _unrounded(changes: Array, values: Array) -> Array:
    """Changes with those set to 0 that numbers were only rounded by, which a test would take for tiny effects."""
    return np.where(np.abs(changes) <= _ROUNDING * np.abs(values).max(initial=0.0), 0.0, changes)


def _verdict(levels: Sequence[Level], tested: bool) -> Verdict:
    """Inert if every value is surely within the margin of the reference; an effect if one surely differs."""
    if tested and all(level.p_equivalent <= ALPHA for level in levels):
        return "inert"
    return "effect" if any(level.p_value <= ALPHA for level in levels) else "cannot tell"


def _nothing() -> intervals.Interval:
    return intervals.Interval(0.0, 0.0, 0.0, 0.95)


def _binned(values: Array, default: Any) -> Grouped:
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1))
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _BINS - 1)
    kept = sorted(set(places.tolist()))
    places = np.array([kept.index(place) for place in places])
    names = tuple(f"{edges[place]:.3g} to {edges[place + 1]:.3g}" for place in kept)
    middles = tuple(float(np.median(values[places == number])) for number in range(len(kept)))
    known = isinstance(default, int | float) and edges[0] <= default <= edges[-1]
    reference = min(range(len(kept)), key=lambda number: abs(middles[number] - float(default))) if known else 0
    return Grouped(names, middles, places, reference)
