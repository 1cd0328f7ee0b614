"""A log, week by week."""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass

from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Wanted
from tunesmith.kept.store import Log

_FIRST_DAY = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class Week:
    """What was answered in a week.

    Args:
        monday: its first day (UTC), as ``2026-01-05``.
        rows: answers.
        confidence: mean probability that they give themselves; None: they give none.
        judged: answers of which the right one is known, by feedback.
        right: how many of these said the same.
    """

    monday: str
    rows: int
    confidence: float | None
    judged: int
    right: int


def weeks(log: Log, origin: Origin, wanted: Wanted) -> list[Week]:
    """Every week that has some rows, in order."""
    rows: dict[datetime.date, int] = defaultdict(int)
    scores: dict[datetime.date, list[tuple[int, float]]] = defaultdict(list)
    for day, count, score, _ in log.days(wanted):
        rows[_monday(day)] += count
        if score is not None:
            scores[_monday(day)].append((count, score))
    judged, right = _judged(log, origin, wanted)
    return [
        Week(monday.isoformat(), rows[monday], _mean(scores[monday]), judged[monday], right[monday]) for monday in rows
    ]


def _judged(log: Log, origin: Origin, wanted: Wanted) -> tuple[dict[datetime.date, int], dict[datetime.date, int]]:
    judged: dict[datetime.date, int] = defaultdict(int)
    right: dict[datetime.date, int] = defaultdict(int)
    for one in log.predictions(Wanted(wanted.model, wanted.bundle, wanted.since, judged=True)):
        if one.feedback is not None and one.feedback.truth is not None:
            judged[_monday(one.day)] += 1
            right[_monday(one.day)] += origin.form.same(one.answer, one.feedback.truth)
    return judged, right


def _monday(day: int) -> datetime.date:
    """The first day of the week of a day since 1970."""
    found = _FIRST_DAY + datetime.timedelta(days=day)
    return found - datetime.timedelta(days=found.weekday())


def _mean(parts: list[tuple[int, float]]) -> float | None:
    return sum(count * value for count, value in parts) / sum(count for count, _ in parts) if parts else None
