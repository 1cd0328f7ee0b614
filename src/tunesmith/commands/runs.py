"""List finished runs, best first: a leaderboard of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.report import Report

_PIPE_WIDTH = 240
"""Columns of a table that no terminal shows, so that nothing is cut."""


class Arguments(Params):
    """Which runs, by which score."""

    folder: str = param("runs", "Folder that holds the runs.", positional=True)
    metric: str | None = param(None, "Score to sort by; none: the headline of each run's task.")
    as_json: bool = param(False, "Print one JSON list.", name="json")


def main(arguments: Arguments) -> None:
    """Read the reports, sort and print them."""
    import json
    import sys
    from pathlib import Path

    from tunesmith import metrics
    from tunesmith.errors import UsageError

    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise UsageError("no such folder", where=str(folder), hint="runs are made by: tunesmith train DATA")
    if arguments.metric:
        metrics.higher_is_better(arguments.metric)
    reports, faults = _read(folder)
    rows = ranked(reports, arguments.metric)
    if arguments.as_json:
        print(json.dumps(rows, ensure_ascii=False))
    elif rows:
        _print(rows)
    else:
        print(f"no finished run in {folder}")
    for fault in faults:
        print(f"left out: {fault}", file=sys.stderr)


def ranked(reports: dict[str, Report], metric: str | None = None) -> list[dict[str, Any]]:
    """One row for each run: those of the same task, metric and test rows together, the best first.

    Args:
        reports: by name of the run.
        metric: what to sort by; None: each report's headline. Runs without it come last, with None.
    """
    from tunesmith import metrics

    rows = [_row(name, report, metric or report.headline.name) for name, report in reports.items()]

    def order(row: dict[str, Any]) -> tuple[Any, ...]:
        value = row["value"]
        if value is None:
            return row["task"], 1, row["metric"], row["test"], 0.0, row["run"]
        worse = -value if metrics.higher_is_better(row["metric"]) else value
        return row["task"], 0, row["metric"], row["test"], worse, row["run"]

    return sorted(rows, key=order)


def _row(name: str, report: Report, metric: str) -> dict[str, Any]:
    return {
        "run": name,
        "task": report.task,
        "metric": metric,
        "value": report.metrics.get(metric),
        "interval": report.intervals.get(metric),
        "base": report.base,
        "adapter": report.adapter,
        "train_s": report.timing.train_s,
        "peak_memory_bytes": report.timing.peak_memory_bytes,
        "rows": report.rows.get(report.split),
        "split": report.split,
        "test": report.fingerprint[:8],
    }


def _read(folder: Path) -> tuple[dict[str, Report], list[str]]:
    """Reports of the finished runs, and what is wrong with those that cannot be read."""
    from tunesmith import report
    from tunesmith.errors import BundleError

    reports, faults = {}, []
    for file in sorted(folder.glob("*/report.json")):
        try:
            reports[file.parent.name] = report.load(file.parent)
        except BundleError as error:
            faults.append(str(error))
    return reports, faults


def _print(rows: list[dict[str, Any]]) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tunesmith.report.terminal import duration

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    table = Table(box=None)
    for name in ("run", "metric", "value [95% interval]", "base", "adapter", "training", "rows", "test"):
        table.add_column(name, no_wrap=name not in ("run", "base"), overflow="fold")
    for row in rows:
        cells = [
            row["run"],
            row["metric"],
            _score(row),
            row["base"].rpartition("/")[2],
            row["adapter"],
            "" if row["train_s"] is None else duration(row["train_s"]),
            f"{row['rows']:,}" if row["rows"] else "",
            row["test"],
        ]
        table.add_row(*map(Text, cells))
    console.print(table)
    if len({(row["task"], row["test"]) for row in rows}) > 1:
        console.print(
            "\nscores compare only between runs with the same letters under 'test': they had the same test rows",
            soft_wrap=True,
        )


def _score(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    between = f" [{row['interval'][0]:.4f}, {row['interval'][1]:.4f}]" if row["interval"] else ""
    return f"{row['value']:.4f}{between}"
