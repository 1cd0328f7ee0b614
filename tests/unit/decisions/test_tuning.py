"""All decisions of a target, chosen on its rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from tunesmith.decisions import answers, tuning
from tunesmith.decisions.decision import Decision
from tunesmith.decisions.options import Decided
from tunesmith.tasks.base import Target

ONE = Target("multi-class", ("bad", "fine", "good"))
MANY = Target("multi-label", ("a", "b", "c"))


def one_label(rows: int = 2000, seed: int = 0, sharpness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    honest = softmax(2 * random.normal(size=(rows, 3)), axis=1)
    truth = (honest.cumsum(1) < random.random((rows, 1))).sum(1)
    return softmax(sharpness * np.log(honest), axis=1), truth


def several_labels(rows: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    honest = random.normal(-2, 1.5, size=(rows, 3))
    return expit(3 * honest), (random.random(honest.shape) < expit(honest)).astype(int)


def test_nothing_is_decided_where_nothing_is_wanted() -> None:
    nothing: dict[str, Any] = {"calibrate": "none", "decide_by": "probability"}
    assert tuning.tuned(ONE, *one_label(), Decided(**nothing)) == ONE
    assert tuning.tuned(MANY, *several_labels(), Decided(**nothing)) == MANY


def test_one_label_is_calibrated() -> None:
    found = tuning.tuned(ONE, *one_label(), Decided())
    ((factor, shift),) = found.decision.calibration
    assert (factor, shift) == (pytest.approx(1 / 3, rel=0.1), 0)
    assert found.thresholds == found.decision.costs == ()
    assert found.decision.abstain_below == 0


def test_several_labels_get_thresholds_of_calibrated_probabilities() -> None:
    found = tuning.tuned(MANY, *several_labels(), Decided())
    assert len(found.decision.calibration) == len(found.thresholds) == 3
    chances, truth = several_labels(seed=1)
    given = answers.decided(answers.calibrated(chances, found), found)
    plain = (chances >= 0.5).astype(int)
    assert _f1(given, truth) > _f1(plain, truth) + 0.03
    one = tuning.tuned(MANY, *several_labels(), Decided(decide_by="f1_micro"))
    assert len(set(one.thresholds)) == 1


def test_costs_become_a_table_of_all_labels() -> None:
    found = tuning.tuned(ONE, *one_label(), Decided(costs={"bad": {"good": 8}}))
    assert found.decision.costs == ((0, 1, 8), (1, 0, 1), (1, 1, 0))
    chances, truth = one_label(seed=1)
    chances = answers.calibrated(chances, found)
    table = np.array(found.decision.costs)
    paid, plain = (table[truth, given].mean() for given in (answers.decided(chances, found), chances.argmax(1)))
    assert paid < plain - 0.05


def test_costs_of_several_labels_become_thresholds() -> None:
    found = tuning.tuned(MANY, *several_labels(), Decided(costs={"a": {"missed": 4}, "b": {"missed": 0, "wrong": 0}}))
    assert found.thresholds == (0.2, 0.5, 0.5)
    assert found.decision.costs == ((4, 1), (0, 0), (1, 1))


@pytest.mark.parametrize("wanted", [0.8, 0.95])
def test_answers_that_are_left_are_as_right_as_wanted(wanted: float) -> None:
    found = tuning.tuned(ONE, *one_label(), Decided(abstain_accuracy=wanted))
    chances, truth = one_label(20000, seed=1)
    chances = answers.calibrated(chances, found)
    given = answers.decided(chances, found)
    left = answers.confidence(chances, given) >= found.decision.abstain_below
    assert wanted - 0.01 < (given == truth)[left].mean() < wanted + 0.03
    assert left.mean() > 0.2


def test_the_surest_answers_are_left_where_none_are_sure_enough() -> None:
    random = np.random.default_rng(0)
    least = tuning.sure_from(random.random(500), random.random(500) < 0.3, 0.99)
    assert 0 < least < 1
    assert tuning.sure_from(np.array([0.9, 0.8]), np.array([False, False]), 0.9) == 0.8


def test_rows_of_one_probability_are_answered_together() -> None:
    sure = np.array([0.9] * 50 + [0.6] * 50)
    right = np.array([True] * 75 + [False] * 25)
    assert tuning.sure_from(sure, right, 0.9) == 0.9
    assert tuning.sure_from(sure, right, 0.5) == 0.6


def test_a_target_with_decisions_survives_saving_and_one_without_is_read() -> None:
    made = tuning.tuned(ONE, *one_label(300), Decided(costs={"bad": {"good": 8}}, abstain_accuracy=0.7))
    assert Target.from_json(made.to_json()) == made
    plain = ONE.to_json()
    del plain["decision"]
    assert Target.from_json(plain) == ONE
    assert Target.from_json(plain).decision == Decision()


def _f1(given: np.ndarray, truth: np.ndarray) -> float:
    return float((2 * (given & truth).sum(0) / np.maximum((given + truth).sum(0), 1)).mean())
