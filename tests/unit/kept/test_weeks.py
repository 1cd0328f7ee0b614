"""A log week by week: Mondays, counts, means, and what was right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import logs
from tunesmith.kept.prediction import Feedback, Wanted
from tunesmith.kept.store import Log
from tunesmith.kept.weeks import Week, weeks

_DAY = 86_400.0
_MONDAY = 20_458 * _DAY  # 2026-01-05


def test_weeks_begin_on_mondays(model: Callable[..., Path], tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log.db"), make=True).open()
    times = {"sunday": _MONDAY - 1, "monday": _MONDAY, "next": _MONDAY + 6.9 * _DAY, "later": _MONDAY + 21 * _DAY}
    scores = {"sunday": 0.5, "monday": 0.4, "next": 0.8, "later": None}
    log.add([logs.prediction(request=name, at=at, score=scores[name]) for name, at in times.items()], {})
    for name, truth in (("monday", "food"), ("next", "money")):
        found = log.find(name, 0, "")
        assert found is not None
        assert found.id is not None
        log.give(found.id, Feedback(0.0, {"label": truth}), "")
    origin = logs.origin(model("bert"))
    assert weeks(log, origin, Wanted()) == [
        Week("2025-12-29", 1, 0.5, 0, 0),
        Week("2026-01-05", 2, pytest.approx(0.6), 2, 1),
        Week("2026-01-26", 1, None, 0, 0),
    ]
    assert [week.monday for week in weeks(log, origin, Wanted(since=_MONDAY))] == ["2026-01-05", "2026-01-26"]
