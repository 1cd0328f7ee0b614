"""The report of a search: in the terminal, as JSON, as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from tunesmith import bundle
from tunesmith.report.page import template
from tunesmith.report.terminal import duration
from tunesmith.search.pictures import pictures
from tunesmith.search.report import Found, Row

REPORT, PAGE = "report.json", "report.html"

_MOST_ROWS = 10


def write(found: Found, folder: Path) -> None:
    """Write report.html and report.json into the study's folder."""
    keep(folder, html(found), found.to_json())


def show(found: Found, console: Console | None = None) -> None:
    """Print it, to the standard output if no console is given."""
    tell(sections(found), console)


def keep(folder: Path, page: str, plain: Mapping[str, Any]) -> None:
    """Write a report as page and as JSON, each all at once."""
    bundle.write_text(folder / PAGE, page)
    bundle.write_text(folder / REPORT, json.dumps(plain, ensure_ascii=False, indent=1) + "\n")


def tell(sections: Iterable[tuple[str, list[str]]], console: Console | None = None) -> None:
    """Print titles, each with its lines."""
    console = console or Console()
    for title, lines in sections:
        console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        console.print("".join(f"  {line}\n" for line in lines), markup=False, highlight=False, soft_wrap=True)


def html(found: Found) -> str:
    """The page; light or dark as the reader's system is."""
    return template("search.html", "tunesmith.search").render(
        found=found, facts=facts(found), pictures=list(pictures(found)), text=text
    )


def facts(found: Found) -> dict[str, str]:
    """How much was tried, and what it took."""
    states = [row.state for row in found.trials]
    counts = {"trials": len(states), **{name: states.count(name) for name in ("complete", "pruned", "failed")}}
    known = {name: str(count) for name, count in counts.items() if count or name == "trials"}
    if found.lost:
        known["lost and tried again"] = str(found.lost)
    return {**known, "this call took": duration(found.seconds)}


def sections(found: Found) -> Iterator[tuple[str, list[str]]]:
    """Titles and lines, in the order of reading."""
    yield found.words, [", ".join(f"{name} {value}" for name, value in facts(found).items()), *found.notes]
    if found.verdict:
        yield f"{found.verdict.metric} on the {found.verdict.split} rows, by seed", list(_by_seed(found))
    if found.failed_finals:
        yield "Final runs that failed", list(found.failed_finals)
    if found.best:
        yield f"Best trials, by {found.objectives[0]} on the validation rows", list(_trials(found))
        yield "The winner's values", list(_values(found))
    if found.importance:
        yield "What mattered", list(_importance(found))
    if failed := [f"{row.number}: {row.reason}" for row in found.trials if row.state == "failed"]:
        yield "Trials that failed", failed
    if found.best:
        yield "Train it", [f"tunesmith train {found.best_config}"]


def text(value: Any) -> str:
    """A value as a user would write it, numbers to four places.

    >>> text(0.000123456), text(None), text(True), text("adamw")
    ('0.0001235', 'none', 'true', 'adamw')
    """
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _by_seed(found: Found) -> Iterator[str]:
    assert found.verdict is not None
    yield f"{'seed':>8}  defaults  winner"
    for seed, old, new in zip(found.verdict.seeds, found.verdict.defaults, found.verdict.winner, strict=True):
        yield f"{seed:>8}    {old:.4f}  {new:.4f}"


def _trials(found: Found) -> Iterator[str]:
    rows = sorted(found.complete, key=lambda row: -found.sign * row.values[0])
    shown = rows[:_MOST_ROWS]
    if found.defaults in rows and found.defaults not in shown:
        shown.append(found.defaults)
    for row in shown:
        values = "  ".join(f"{name} {value:.4f}" for name, value in zip(found.objectives, row.values, strict=True))
        marks = [mark for mark, holds in _marks(found, row).items() if holds]
        yield f"{row.number:>4}  {values}  {row.seconds:.0f} s{'  ' + ', '.join(marks) if marks else ''}"


def _marks(found: Found, row: Row) -> dict[str, bool]:
    return {"winner": row.number == found.winner, "defaults": row.is_defaults, "front": row.number in found.front}


def _values(found: Found) -> Iterator[str]:
    assert found.best is not None
    width = max(map(len, found.space), default=0)
    for name, searched in found.space.items():
        before = text(found.defaults.parameters.get(name)) if found.defaults else ""
        yield f"{name:<{width}}  {before:>10} -> {text(found.best.parameters.get(name)):<10}  ({searched})"


def _importance(found: Found) -> Iterator[str]:
    ways = list(found.importance)
    width = max(map(len, found.importance[ways[0]]))
    yield f"{'':<{width}}  {'  '.join(f'{way:>9}' for way in ways)}"
    for name in found.importance[ways[0]]:
        yield f"{name:<{width}}  {'  '.join(f'{found.importance[way].get(name, 0.0):9.3f}' for way in ways)}"
