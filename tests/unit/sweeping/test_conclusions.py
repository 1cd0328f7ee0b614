"""Sentences say only what the intervals allow."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.effects.intervals import Interval
from tunesmith.sweeping import conclusions
from tunesmith.sweeping.found import Effect, Found, Level, Recommendation, Row, Share

NONE = Interval(0.0, 0.0, 0.0, 0.95)


def level(value: str, low: float, high: float, p_value: float) -> Level:
    return Level(value, None, 0.5, Interval((low + high) / 2, low, high, 0.95), p_value, 1.0, {})


def found(**more: Any) -> Found:
    row = Row(0, {"top_p": 1.0}, 0, 20, False, NONE, NONE, 1.0, {})
    base = Found(
        "bot", "rows.jsonl", "chat", "pytorch", "rougeL", True, 0.02, 0, 1, "grid", 20, 20, 8, 40, {},
        (row, replace(row, number=1, run=1, values={"top_p": 0.5})), (), (), True, 0.0, {},
        Recommendation(1, "cannot tell", 8, 0.5, 0.5, NONE, None),
    )  # fmt: skip
    return replace(base, **more)


@pytest.mark.parametrize(
    ("verdict", "gain", "begins", "holds"),
    [
        ("better", (0.05, 0.15), "Take top_p=0.5: it is better", ["8 rows that took no part", "+0.1 [+0.05, +0.15]"]),
        ("better", (0.001, 0.003), "Take top_p=0.5", ["less than the margin of 0.02"]),
        ("as good", (-0.01, 0.03), "top_p=0.5 is at least as good", ["but for less than 0.02"]),
        ("worse", (-0.2, -0.1), "Keep the defaults", ["is worse"]),
        ("cannot tell", (-0.2, 0.3), "Cannot tell", ["keep the defaults", "about 900 held-out rows"]),
        ("defaults", (0, 0), "No setting scored better", ["keep the defaults"]),
    ],
)
def test_recommendations(verdict: Any, gain: tuple[float, float], begins: str, holds: list[str]) -> None:
    interval = Interval(sum(gain) / 2, *gain, 0.95)
    told = conclusions.recommendation(found(recommendation=Recommendation(1, verdict, 8, 0.6, 0.5, interval, 900)))
    assert told.startswith(begins)
    assert all(each in told for each in holds)


def test_effects_name_the_values_that_are_sure_and_no_other() -> None:
    levels = (level("1", 0, 0, 1.0), level("0.5", -0.3, -0.1, 0.01), level("0.8", -0.1, 0.05, 0.4))
    one = Effect("top_p", "1", levels, "effect", 0.5, 0.1, 90)
    told = conclusions.effect(one, found())
    assert told.startswith("top_p has an effect: against 1, rougeL changes at 0.5: -0.2")
    assert "0.8" not in told
    told = conclusions.effect(replace(one, verdict="inert"), found())
    assert "no value tried changes rougeL by 0.02 or more" in told
    assert "It does change it, by less than that, at 0.5." in told
    told = conclusions.effect(replace(one, verdict="cannot tell"), found())
    assert "cannot tell" in told
    assert "about 90 rows would show it inert" in told
    told = conclusions.effect(replace(one, verdict="cannot tell", needed_rows=None, least_detectable=math.inf), found())
    assert "too few rows for any test" in told


def test_interactions_are_claimed_beyond_chance_alone() -> None:
    shares = (Share(("a", "b"), 0.3, 0.001), Share(("a", "c"), 0.4, 0.3), Share(("a",), 0.2, 0.001))
    told = " ".join(conclusions.sentences(found(shares=shares)))
    assert "a and b act together: 30%" in told
    assert "a and c" not in told
    assert "No two parameters" in " ".join(conclusions.sentences(found(shares=shares[1:])))


def test_an_interval_without_ends_is_not_shown_as_one() -> None:
    assert "too few rows" in conclusions.bounds(Interval(0.1, -math.inf, math.inf, 0.95))
