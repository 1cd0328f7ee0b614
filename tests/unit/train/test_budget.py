"""How the time of a run is shared out."""

from __future__ import annotations

import time

import pytest

from tunesmith.train import budget
from tunesmith.train.budget import Budget


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_without_a_limit_it_never_ends(clock: list[float]) -> None:
    found = Budget(None, 0.0, 1.0)
    clock[0] = 1e12
    assert not found.is_over
    assert found.share_used == 0.0


def test_the_report_is_left_its_time(clock: list[float]) -> None:
    found = Budget(600.0, 1000.0, 1.0)
    clock[0] = 1000.0 + 600.0 - budget._REPORT_S - 0.001
    assert not found.is_over
    clock[0] += 0.002
    assert found.is_over


def test_the_last_evaluations_are_left_their_time(clock: list[float]) -> None:
    found = Budget(600.0, 1000.0, 3.0)
    for seconds in (10.0, 40.0, 20.0):
        found.evaluated(seconds)
    clock[0] = 1000.0 + 600.0 - 1.25 * 40 * 3 - budget._REPORT_S + 0.001
    assert found.is_over
    clock[0] -= 0.002
    assert not found.is_over


def test_the_answers_of_the_report_are_left_their_time(clock: list[float]) -> None:
    found = Budget(600.0, 1000.0, 1.0, answering_s=100.0)
    found.evaluated(10.0)
    clock[0] = 1000.0 + 600.0 - 1.25 * (10 + 100) - budget._REPORT_S + 0.001
    assert found.is_over
    clock[0] -= 0.002
    assert not found.is_over


def test_what_is_left_for_the_end_never_takes_it_all(clock: list[float]) -> None:
    found = Budget(5.0, 1000.0, 1.0)
    clock[0] = 1001.9
    assert not found.is_over
    clock[0] = 1002.1
    assert found.is_over


def test_the_share_counts_from_where_training_began(clock: list[float]) -> None:
    clock[0] = 1100.0  # reading and warming up took 100 s
    found = Budget(206.0, 1000.0, 1.0)
    assert found.share_used == 0.0
    clock[0] = 1150.0
    assert found.share_used == pytest.approx(0.5)
    clock[0] = 1200.0
    assert found.share_used == 1.0
    assert found.is_over


def test_time_that_is_over_before_training(clock: list[float]) -> None:
    clock[0] = 2000.0
    found = Budget(10.0, 1000.0, 1.0)
    assert found.is_over
    assert found.share_used == 1.0
