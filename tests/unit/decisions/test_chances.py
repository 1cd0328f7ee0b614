"""Outputs of windows become probabilities of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.decisions import chances
from tunesmith.decisions.decision import Decision
from tunesmith.tasks.base import Target

ROWS = np.array([0, 0, 1])
OUTPUTS = [np.log([0.9, 0.1]), np.log([0.5, 0.5]), np.log([0.2, 0.8])]
ONE, MANY = Target("multi-class", ("a", "b")), Target("multi-label", ("a", "b"))


def test_windows_are_averaged_and_then_calibrated() -> None:
    plain = chances.of_rows(OUTPUTS, ROWS, ONE, "auto", votes=False)
    assert plain == pytest.approx(np.array([[0.7, 0.3], [0.2, 0.8]]))
    flat = Target("multi-class", ("a", "b"), decision=Decision(calibration=((0.5, 0.0),)))
    found = chances.of_rows(OUTPUTS, ROWS, flat, "auto", votes=False)
    assert found[0] == pytest.approx(np.sqrt([0.7, 0.3]) / np.sqrt([0.7, 0.3]).sum())


@pytest.mark.parametrize(("target", "expected"), [(ONE, [[1.0, 0.0], [0.0, 1.0]]), (MANY, [[0.0, 0.0], [0.0, 0.0]])])
def test_votes_are_shares_of_windows(target: Target, expected: Any) -> None:
    found = chances.of_rows(OUTPUTS, ROWS, target, "auto", votes=True)
    assert found.tolist() == expected
    assert chances.are_votes(found, ROWS)
    assert not chances.are_votes(chances.of_rows(OUTPUTS, ROWS, ONE, "auto", votes=False), ROWS)


def test_what_is_shown_stands_beside() -> None:
    mean = (OUTPUTS[0] + OUTPUTS[1]) / 2
    shown = {
        "none": mean,
        "softmax": np.exp(mean) / np.exp(mean).sum(),
        "sigmoid": 1 / (1 + np.exp(-mean)),
    }
    for name, expected in shown.items():
        activation: Any = name
        found = chances.of_rows(OUTPUTS, ROWS, ONE, activation, votes=False)
        assert found.shape == (2, 4)
        assert found[0, 2:] == pytest.approx(expected)
        assert found[:, :2] == pytest.approx(chances.of_rows(OUTPUTS, ROWS, ONE, "auto", votes=False))


def test_a_number_is_scaled_back() -> None:
    target = Target("regression", ("value",), scale=(10.0, 2.0))
    found = chances.of_rows([np.array([1.0]), np.array([2.0]), np.array([-1.0])], ROWS, target, "none", votes=True)
    assert found.tolist() == [13.0, 8.0]
