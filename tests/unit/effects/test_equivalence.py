"""Equivalence is claimed falsely as rarely as said, and shown as often as the stated power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tunesmith.effects import equivalence


def test_p_values_are_those_of_two_one_sided_t_tests() -> None:
    values = np.random.default_rng(0).normal(0.05, 0.5, 40)
    found = equivalence.tost(values, 0.3)
    above = stats.ttest_1samp(values, -0.3, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.3, alternative="less").pvalue
    assert found.p_equivalent == pytest.approx(max(above, below))
    assert found.p_different == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_a_difference_as_large_as_the_margin_is_called_equivalent_as_rarely_as_alpha() -> None:
    random = np.random.default_rng(1)
    claims = [equivalence.tost(random.normal(0.2, 0.5, 60), 0.2).words == "equivalent" for _ in range(3000)]
    assert 0.035 <= np.mean(claims) <= 0.065


@pytest.mark.parametrize("rows", [20, 60, 150])
def test_the_stated_power_is_what_simulation_shows(rows: int) -> None:
    random = np.random.default_rng(rows)
    claims = [equivalence.tost(random.normal(0, 0.5, rows), 0.2).p_equivalent <= 0.05 for _ in range(1500)]
    assert np.mean(claims) == pytest.approx(equivalence.power_of_equivalence(0.5, rows, 0.2), abs=0.04)


def test_the_least_detectable_difference_is_detected_four_times_of_five() -> None:
    random = np.random.default_rng(2)
    truth = equivalence.least_detectable(0.5, 40)
    found = [stats.ttest_1samp(random.normal(truth, 0.5, 40), 0).pvalue <= 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_needed_rows_are_the_fewest_that_do() -> None:
    needed = equivalence.rows_for_equivalence(0.5, 0.2)
    assert needed is not None
    assert equivalence.power_of_equivalence(0.5, needed, 0.2) >= 0.8
    assert equivalence.power_of_equivalence(0.5, needed - 1, 0.2) < 0.8
    detect = equivalence.rows_to_detect(0.5, 0.2)
    assert detect is not None
    assert equivalence.least_detectable(0.5, detect) <= 0.2 < equivalence.least_detectable(0.5, detect - 1)
    assert equivalence.rows_for_equivalence(1.0, 1e-9) is None


@pytest.mark.parametrize(
    ("mean", "deviation", "words"),
    [(0.0, 0.1, "equivalent"), (1.0, 0.1, "different"), (0.1, 2.0, "cannot tell"), (0.05, 0.01, "equivalent")],
)
def test_what_may_be_said(mean: float, deviation: float, words: str) -> None:
    assert equivalence.of_moments(mean, deviation, 30, 0.2).words == words


def test_differences_that_never_vary_leave_nothing_to_chance() -> None:
    assert equivalence.tost(np.zeros(5), 0.1).words == "equivalent"
    assert equivalence.tost(np.ones(5), 0.1).words == "different"


def test_too_few_rows_or_no_margin_are_refused() -> None:
    with pytest.raises(ValueError, match="allow no test"):
        equivalence.tost(np.ones(1), 0.1)
    with pytest.raises(ValueError, match="allow no test"):
        equivalence.tost(np.ones(4), 0.0)
