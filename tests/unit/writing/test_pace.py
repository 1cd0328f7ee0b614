"""How long answers take."""

from __future__ import annotations

import time

import pytest

from tunesmith.writing import pace
from tunesmith.writing.pace import Pace


def test_first_tokens_and_later_ones_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def answer(tokens: int) -> None:
        now[0] += 4.0 + 0.8 * (tokens - 1)  # eight rows, half a second each to read and a tenth for each token

    found = pace.measure(answer, 8)
    assert (found.first_s, found.token_s) == (pytest.approx(0.5), pytest.approx(0.1))
    assert found.seconds(50, 21) == pytest.approx(50 * (0.5 + 2))


def test_nothing_is_less_than_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 4.0, 4.0, 5.0])  # the second time all is warm
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    assert pace.measure(lambda tokens: None, 8) == Pace(0.5, 0.0)
    assert Pace(0.5, 0.1).seconds(0, 10) == 0
    assert Pace(0.5, 0.1).seconds(2, 0) == 1
