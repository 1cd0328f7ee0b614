"""From judged answers to what may be said of settings and parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.effects import corrections, equivalence, intervals, pareto, variance
from tunesmith.effects.intervals import Interval
from tunesmith.sweeping import levels
from tunesmith.sweeping.design import Design
from tunesmith.sweeping.found import Effect, Recommendation, Row, Share
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.measures import LOWER_IS_BETTER

Array = NDArray[np.float64]

_RESAMPLES = 1000
_ROUNDING = 1e-12
"""Shares below this are what numbers were rounded by."""
_FRONTS = ("distinct_2", "self_bleu", "seconds", "cost", "tokens_per_second")


def rows(
    design: Design, judged: Mapping[int, Judged], metric: str, sign: int, dropped: Sequence[int], seed: int
) -> tuple[Row, ...]:
    """Every setting with its score and its gain over the defaults.

    Args:
        design: the settings.
        judged: of each run, on the rows that it answered, which begin with the same ones.
        metric: that they are compared by.
        sign: 1 where a higher score is better, else -1.
        dropped: runs that the race dropped.
        seed: of the intervals.
    """
    common = min(map(len, judged.values()))
    gains = {run: gain(one, judged[0], metric, sign, seed) for run, one in judged.items()}
    tests = {run: p_gain(one, judged[0], metric) for run, one in judged.items() if run}
    adjusted = dict(zip(tests, corrections.holm(list(tests.values())), strict=True)) | {0: 1.0}
    scores = {run: score(one, metric, seed) for run, one in judged.items()}
    means = {
        run: {name: float(values[:common].mean()) for name, values in one.measured.items()}
        for run, one in judged.items()
    }
    return tuple(
        Row(
            one.number,
            one.values,
            one.run,
            len(judged[one.run]),
            one.run in dropped,
            scores[one.run],
            gains[one.run],
            float(adjusted[one.run]),
            means[one.run],
        )
        for one in design.settings
    )


def score(judged: Judged, metric: str, seed: int) -> Interval:
    """The metric with its interval over rows."""
    count = len(judged)
    draws = judged.score(metric, intervals.weights(count, _RESAMPLES, np.random.default_rng(seed)))
    return intervals.of_draws(float(judged.score(metric, np.ones((1, count)))[0]), draws, count)


def gain(one: Judged, other: Judged, metric: str, sign: int, seed: int) -> Interval:
    """How much better the first is than the other, on the first rows that both answered, paired."""
    count = min(len(one), len(other))
    first, second = one.first(count), other.first(count)
    draws = intervals.weights(count, _RESAMPLES, np.random.default_rng(seed))
    whole = np.ones((1, count))
    found = sign * (first.score(metric, draws) - second.score(metric, draws))
    return intervals.of_draws(float(sign * (first.score(metric, whole) - second.score(metric, whole))[0]), found, count)


def p_gain(one: Judged, other: Judged, metric: str) -> float:
    """p-value of "both are equally good"."""
    return levels.p_two_sided(differences(one, other, metric))


def differences(one: Judged, other: Judged, metric: str) -> Array:
    """``(rows,)`` what each row that both answered adds to the difference."""
    count = min(len(one), len(other))
    return one.first(count).by_row(metric) - other.first(count).by_row(metric)


def effects(
    design: Design, judged: Mapping[int, Judged], metric: str, margin: float, seed: int
) -> tuple[tuple[Effect, ...], variance.Shares, tuple[Share, ...]]:
    """What parameters do, alone and in pairs, on the rows that all settings answered."""
    common = min(map(len, judged.values()))
    firsts = {run: one.first(common) for run, one in judged.items()}
    by_row = {run: one.by_row(metric) for run, one in firsts.items()}
    tried = design.tried
    settings = [one.values for one in tried]
    values = np.stack([by_row[one.run] for one in tried])
    known = [name for name in firsts[0].measured if all(name in one.measured for one in firsts.values())]
    measured = {name: np.stack([firsts[one.run].measured[name] for one in tried]) for name in known}
    random = np.random.default_rng(seed)
    defaults = design.settings[0].values
    alone = levels.effects(design.axes, settings, defaults, values, measured, margin=margin, random=random)
    shares = variance.decompose(settings, values.mean(axis=1))
    tests = {
        part: intervals.sign_flip_p(shares.coefficients(part, values.T), random)
        if common > 1 and share > _ROUNDING
        else 1.0
        for part, share in shares.parts.items()
    }
    adjusted = dict(zip(tests, corrections.holm(list(tests.values())), strict=True)) if tests else {}
    parts = [Share(part, share, float(adjusted[part])) for part, share in shares.parts.items()]
    return alone, shares, tuple(sorted(parts, key=lambda part: -part.share))


def fronts(found: Sequence[Row], sign: int) -> dict[str, tuple[int, ...]]:
    """For each measure that has a better end the settings that no other beats in it and in the metric; of equals the first."""
    measures = [name for name in _FRONTS if all(name in row.measures for row in found)]
    once = [row for row in found if row.run == row.number]
    fronts = {}
    for name in measures:
        points = [[sign * row.score.estimate, row.measures[name]] for row in once]
        on_front = pareto.front(points, [True, name not in LOWER_IS_BETTER])
        first = {tuple(points[place]): once[place].number for place in reversed(on_front)}
        fronts[name] = tuple(sorted(first.values()))
    return fronts


def best(design: Design, judged: Mapping[int, Judged], metric: str, sign: int, dropped: Sequence[int]) -> int:
    """Number of the setting with the best score among those that answered all rows; the defaults where it is a tie."""
    most = max(map(len, judged.values()))
    scores = {
        run: float(sign * one.score(metric, np.ones((1, most)))[0])
        for run, one in judged.items()
        if len(one) == most and run not in dropped
    }
    finite = {run: each for run, each in scores.items() if math.isfinite(each)}
    if not finite:
        return 0
    return max(finite, key=lambda run: (finite[run], run == 0, -run))


def recommend(
    setting: int, held: Mapping[int, Judged], run: int, metric: str, sign: int, margin: float, seed: int
) -> Recommendation:
    """Hold a setting against the defaults on held-out rows.

    Args:
        setting: its number.
        held: the answers of its run and of the defaults, 0.
        run: of the setting.
        metric: that they are compared by.
        sign: 1 where a higher score is better, else -1.
        margin: differences below it do not count.
        seed: of the interval.
    """
    chosen, defaults = held[run], held[0]
    count = len(defaults)
    whole = np.ones((1, count))
    scores = [float(each.score(metric, whole)[0]) for each in (chosen, defaults)]
    found = gain(chosen, defaults, metric, sign, seed)
    verdict: Any = "defaults" if run == 0 else verdict_of(found, margin)
    values = sign * differences(chosen, defaults, metric)
    deviation = float(values.std(ddof=1)) if count > 1 else math.inf
    seen = found.estimate > 0 and math.isfinite(deviation) and run != 0
    needed = equivalence.rows_to_detect(deviation, found.estimate) if seen else None
    return Recommendation(setting, verdict, count, scores[0], scores[1], found, needed)


def verdict_of(gained: Interval, margin: float) -> str:
    """What an interval of a gain allows to say."""
    if gained.low > 0:
        return "better"
    if gained.high < 0:
        return "worse"
    return "as good" if gained.low > -margin else "cannot tell"
