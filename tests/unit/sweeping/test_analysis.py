"""From judged answers to gains, shares, fronts and a verdict, on answers that are made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunesmith import metrics
from tunesmith.effects.intervals import Interval
from tunesmith.sweeping import analysis
from tunesmith.sweeping.design import Design, Setting
from tunesmith.sweeping.judging import Judged
from tunesmith.tasks.chat import Request

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


def judged(good: np.ndarray, answers: int = 1, **measured: np.ndarray) -> Judged:
    """Answers to rows of which each is right in so many words of eight."""
    references = [[" ".join(WORDS)] for _ in good for _ in range(answers)]
    texts = [" ".join([*WORDS[:right], *["none"] * (8 - right)]) for right in good.tolist() for _ in range(answers)]
    count = len(texts)
    found = metrics.summary(references, texts, texts=["asked"] * count, lengths=[1] * count)
    return Judged(found, answers, measured, [texts[place * answers] for place in range(len(good))])


def design(*values: dict[str, Any]) -> Design:
    settings = tuple(Setting(number, one, Request(), number) for number, one in enumerate(values))
    return Design(settings, tuple(values[0]), {}, on_axes=True)


def test_a_metric_that_is_a_mean_has_the_rows_own_scores() -> None:
    one = judged(np.array([0, 4, 8]), answers=2)
    assert len(one) == 3
    assert one.by_row("rougeL") == pytest.approx([0, 0.5, 1])
    assert one.first(2).by_row("rougeL") == pytest.approx([0, 0.5])


def test_pseudo_values_of_a_corpus_metric_come_near_it() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 8)) for _ in range(40)]
    counted = metrics.translation([[" ".join(WORDS)]] * 40, texts, texts=[""] * 40, lengths=[1] * 40)
    one = Judged(counted, 1, {}, texts)
    whole = metrics.score(counted, ["chrf"])["chrf"]
    assert one.by_row("chrf").mean() == pytest.approx(whole, abs=0.5)


def test_gains_are_paired_on_the_rows_that_both_answered() -> None:
    random = np.random.default_rng(1)
    base = random.integers(0, 7, 40)
    one, other = judged(base + 1), judged(base[:30])
    found = analysis.gain(one, other, "rougeL", 1, 0)
    assert found.estimate == pytest.approx(1 / 8)
    assert (found.low, found.high) == pytest.approx((1 / 8, 1 / 8))  # rows differ, their differences do not
    assert analysis.gain(one, other, "rougeL", -1, 0).estimate == pytest.approx(-1 / 8)
    assert analysis.p_gain(one, other, "rougeL") < 1e-6
    assert analysis.p_gain(one, one, "rougeL") == 1


def test_the_best_is_chosen_among_those_that_answered_all_rows() -> None:
    low, high = np.full(10, 3), np.full(10, 6)
    found = {0: judged(low), 1: judged(high), 2: judged(np.full(5, 8)), 3: judged(low)}
    four = design(*({"a": number} for number in range(4)))
    assert analysis.best(four, found, "rougeL", 1, []) == 1
    assert analysis.best(four, found, "rougeL", 1, [1]) == 0  # a tie goes to the defaults
    assert analysis.best(four, found, "rougeL", -1, []) == 0


def test_parts_that_only_rounding_makes_are_no_finding() -> None:
    random = np.random.default_rng(2)
    base = random.integers(0, 7, 30)
    settings = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1, 2)]
    found = {number: judged(base + one["a"]) for number, one in enumerate(settings)}
    effects, shares, parts = analysis.effects(design(*settings), found, "rougeL", 0.02, 0)
    assert {one.parameter: one.verdict for one in effects} == {"a": "effect", "b": "inert"}
    by_name = {part.parameters: part for part in parts}
    assert by_name["a",].share == pytest.approx(1)
    assert by_name["a",].p_value < 0.01
    assert by_name["b",].p_value == 1
    assert by_name["a", "b"].p_value == 1
    assert shares.exact


def test_fronts_name_one_of_equals() -> None:
    points = [(4, 0.5), (6, 0.3), (6, 0.3), (2, 0.9), (2, 0.1)]
    settings = design(*({"a": number} for number in range(5)))
    found = {
        number: judged(np.full(6, good), distinct_2=np.full(6, varied)) for number, (good, varied) in enumerate(points)
    }
    rows = analysis.rows(settings, found, "rougeL", 1, [], 0)
    assert analysis.fronts(rows, 1) == {"distinct_2": (0, 1, 3)}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "better"), (-0.01, 0.3, "as good"), (-0.1, 0.3, "cannot tell"), (-0.3, -0.1, "worse"), (-math.inf, math.inf, "cannot tell"), (-0.01, -0.005, "worse")],
)  # fmt: skip
def test_verdicts_say_what_the_interval_allows(low: float, high: float, verdict: str) -> None:
    assert analysis.verdict_of(Interval((low + high) / 2, low, high, 0.95), 0.02) == verdict


def test_recommendations_are_right_as_often_as_they_should_be() -> None:
    """Where the setting is no better, "better" is said in about 2.5 of 100 studies; where it is, mostly."""
    random = np.random.default_rng(3)
    said: dict[float, list[str]] = {0.0: [], 1.0: []}
    for lift, verdicts in said.items():
        for _ in range(100):
            base = random.integers(0, 7, 40)
            other = np.clip(base + random.integers(-2, 3, 40), 0, 8)
            one = np.clip(base + lift + random.integers(-2, 3, 40), 0, 8).astype(int)
            if lift == 0 and random.random() < 0.5:
                one, other = other, one
            found = analysis.recommend(1, {1: judged(one), 0: judged(other)}, 1, "rougeL", 1, 0.02, 0)
            verdicts.append(found.verdict)
            assert found.is_recommended == (found.verdict in ("better", "as good"))
    assert said[0.0].count("better") <= 7
    assert said[1.0].count("better") >= 70
