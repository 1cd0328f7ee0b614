"""Intervals hold the true value as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.effects import intervals


def test_an_interval_of_a_mean_is_near_students_for_normal_values() -> None:
    from scipy import stats

    values = np.random.default_rng(3).normal(0.4, 1.0, 200)
    found = intervals.of_mean(values, np.random.default_rng(0), resamples=20_000)
    low, high = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert found.estimate == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("rows", [8, 20, 100])
@pytest.mark.parametrize("draw", ["normal", "binary"])
def test_paired_intervals_hold_the_true_difference_as_often_as_they_say(rows: int, draw: str) -> None:
    random, held = np.random.default_rng(rows), 0
    for _ in range(600):
        base = random.normal(0, 3, rows)  # what both settings share, and pairing takes out
        if draw == "normal":
            one, other = base + random.normal(0.5, 1, rows), base + random.normal(0, 1, rows)
            truth = 0.5
        else:
            one, other = (random.random(rows) < 0.7).astype(float), (random.random(rows) < 0.4).astype(float)
            truth = 0.3
        found = intervals.of_difference(one, other, random, resamples=400)
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 600 <= 0.985


def test_one_row_allows_no_interval() -> None:
    found = intervals.of_mean(np.array([1.0]), np.random.default_rng(0))
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert not found.is_above_0


def test_draws_that_are_mostly_undefined_allow_no_interval() -> None:
    draws = np.full(100, np.nan)
    draws[:40] = 1.0
    assert intervals.of_draws(1.0, draws, 50).low == -math.inf


def test_values_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same rows"):
        intervals.of_difference(np.ones(3), np.ones(4), np.random.default_rng(0))


@pytest.mark.parametrize("columns", [1, 4])
def test_sign_flips_raise_false_alarms_as_rarely_as_they_say_and_find_effects(columns: int) -> None:
    random = np.random.default_rng(columns)
    p_values = [intervals.sign_flip_p(random.normal(0, 1, (20, columns)), random, flips=300) for _ in range(500)]
    assert 0.025 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
    assert intervals.sign_flip_p(random.normal(1.5, 1, (20, columns)), random) < 0.01
