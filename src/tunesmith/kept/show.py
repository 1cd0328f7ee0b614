"""Drift in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from tunesmith.kept.report import Report
from tunesmith.kept.weeks import Week


def lines(report: Report) -> Iterator[str]:
    """The report, line by line.

    Args:
        report: what a log says of a bundle.
    """
    few = "" if report.rows == report.of else f" (the latest of {report.of:,})"
    yield f"{report.rows:,} rows{few} beside the training of {report.folder}"
    if report.unread:
        yield f"{report.unread:,} of them cannot be read as inputs of its task, and are left out"
    yield ""
    yield from _table(("", "verdict", ""), [(one.name, one.verdict, one.said) for one in report.checks])
    yield ""
    yield from _table(("week from", "rows", "confidence", "right"), map(_week, report.weeks))


def _week(week: Week) -> tuple[str, ...]:
    shown = "-" if week.confidence is None else f"{week.confidence:.2f}"
    right = f"{week.right} of {week.judged} ({week.right / week.judged:.0%})" if week.judged else "-"
    return week.monday, f"{week.rows:,}", shown, right


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell, but for the last."""
    listed = list(rows)
    widths = [max(len(row[place]) for row in chain([head], listed)) for place in range(len(head))]
    for row in [head, *listed]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
