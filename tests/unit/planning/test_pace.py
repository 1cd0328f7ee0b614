"""Timing a few of many."""

from __future__ import annotations

import pytest

from tunesmith.planning import pace
from tunesmith.planning.pace import Pace


def test_work_that_goes_evenly_is_certain() -> None:
    even, uneven = Pace.of([1, 2, 4], [2, 4, 8]), Pace.of([1, 2, 4], [3, 3, 8])
    assert even.seconds == uneven.seconds == 2
    assert even.over(10).low == pytest.approx(18)
    assert uneven.over(10).low < even.over(10).low


def test_pieces_are_timed_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(pace, "timed", lambda act: (act(), 2.0))
    found = pace.some(range(100), done.append, lambda piece: 1.0, limit_s=9.0)
    assert done == [0, 1, 2, 3, 4]
    assert found.seconds == 2


def test_three_are_timed_however_long_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(pace, "timed", lambda act: (act(), 50.0))
    pace.some(range(100), done.append, lambda piece: 1.0, limit_s=9.0)
    assert done == [0, 1, 2]


@pytest.mark.parametrize(("count", "most"), [(1, 4), (3, 4), (4, 4), (1000, 7)])
def test_places_are_spread_and_come_once(count: int, most: int) -> None:
    places = pace.spread(count, most)
    assert len(places) == len(set(places)) == min(count, most)
    assert all(0 <= place < count for place in places)
