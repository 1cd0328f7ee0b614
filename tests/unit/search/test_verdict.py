"""The winner against the defaults: the interval is scipy's, and the words say what it says."""

from __future__ import annotations

import pytest
from scipy import stats

from tunesmith.search.verdict import Verdict, judge

DEFAULTS = {1: 0.80, 2: 0.82, 3: 0.79, 4: 0.81}


def judged(gains: list[float], sign: int = 1, split: str = "test") -> Verdict:
    winner = {seed: DEFAULTS[seed] + gain for seed, gain in zip(DEFAULTS, gains, strict=False)}
    found = judge(DEFAULTS, winner, metric="f1", split=split, rows=100, sign=sign)
    assert found is not None
    return found


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    gains = [0.02, 0.05, 0.03, 0.01]
    found = judged(gains)
    expected = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    assert found.gain == pytest.approx(sum(gains) / 4)
    assert found.interval == pytest.approx((expected.low, expected.high))


def test_a_gain_that_every_seed_has_is_beyond_noise() -> None:
    found = judged([0.05, 0.06, 0.05, 0.06])
    assert found.is_beyond_noise
    assert found.words.startswith("the winner is better than the defaults beyond seed noise: f1 +0.0550 [+0.0")


def test_a_gain_of_one_lucky_seed_is_not() -> None:
    found = judged([0.2, -0.01, 0.0, 0.01])
    assert found.gain > 0.04
    assert not found.is_beyond_noise
    assert found.words.startswith("no gain over the defaults beyond seed noise")


def test_a_loss_is_told() -> None:
    found = judged([-0.05, -0.06, -0.05, -0.06])
    assert "worse than the defaults beyond seed noise" in found.words
    assert found.words.endswith("keep the defaults")


def test_of_errors_less_is_better() -> None:
    assert judged([-0.05, -0.06, -0.05, -0.06], sign=-1).is_beyond_noise


def test_only_pairs_count() -> None:
    found = judged([0.05, 0.06])
    assert found.seeds == (1, 2)
    assert found.defaults == (0.80, 0.82)
    assert judge({1: 0.5}, {2: 0.6}, metric="f1", split="test", rows=1) is None


def test_one_pair_gives_no_interval() -> None:
    found = judged([0.05])
    assert found.interval is None
    assert not found.is_beyond_noise
    assert "one seed says nothing" in found.words


def test_validation_rows_are_said_to_be_unfair() -> None:
    assert "by which it was chosen" in judged([0.05, 0.06, 0.05, 0.06], split="validation").words
