"""What a log says of a bundle: its drift since training, and its weeks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.errors import UsageError
from tunesmith.kept import drift
from tunesmith.kept.drift import Check
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Wanted
from tunesmith.kept.store import Log
from tunesmith.kept.weeks import Week, weeks


@dataclass(frozen=True)
class Report:
    """Drift since training.

    Args:
        folder: of the bundle.
        since: rows not before this, seconds since 1970; None: all.
        rows: how many were looked at: the latest.
        of: how many there are.
        unread: how many of them could not be read as inputs of the task.
        checks: what was looked at.
        weeks: of all rows.
    """

    folder: str
    since: float | None
    rows: int
    of: int
    unread: int
    checks: tuple[Check, ...]
    weeks: tuple[Week, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        drifted = any(check.verdict == "drifted" for check in self.checks)
        return {**asdict(self), "drifted": drifted}


def look(log: Log, origin: Origin, folder: Path, *, since: float | None = None, most: int) -> Report:
    """Hold the latest answers of a bundle against its training.

    Args:
        log: that has them.
        origin: the bundle.
        folder: where it lies.
        since: only rows not before this, seconds since 1970.
        most: only so many rows, the latest.

    Raises:
        UsageError: the log has none of this bundle's answers.
        BundleError: the bundle does not remember its training rows.
    """
    wanted = Wanted(bundle=origin.id, since=since)
    told = tuple(weeks(log, origin, wanted))
    if not told:
        raise UsageError("the log has no answers of this bundle", where=log.url, hint=_hint(log.models(), since))
    asked = drift.read(origin, log.predictions(Wanted(bundle=origin.id, since=since, most=most)))
    found = tuple(drift.checks(origin, asked, folder))
    seen = len(asked.predictions) + asked.unread
    return Report(str(folder), since, seen, sum(week.rows for week in told), asked.unread, found, told)


def _hint(models: Mapping[str, Mapping[str, int]], since: float | None) -> str:
    names = ", ".join(f"{name} ({sum(bundles.values())} rows)" for name, bundles in models.items())
    return f"it has: {names or 'nothing'}" + (", or only older ones" if since is not None else "")
