"""The report of a sweep: in the terminal, as JSON, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tunesmith.report.page import template
from tunesmith.search.show import keep, tell
from tunesmith.sweeping import conclusions, spelled
from tunesmith.sweeping.found import Effect, Found, Row
from tunesmith.sweeping.measures import UNITS
from tunesmith.sweeping.pictures import pictures

_MOST_ROWS = 10


def write(found: Found, folder: Path) -> None:
    """Write report.html and report.json into the study's folder."""
    keep(folder, html(found), found.to_json())


def show(found: Found, console: Console | None = None) -> None:
    """Print it, to the standard output if no console is given."""
    tell(sections(found), console)


def html(found: Found) -> str:
    """The page; light or dark as the reader's system is."""
    return template("sweep.html", "tunesmith.sweeping").render(
        found=found,
        facts=facts(found),
        pictures=list(pictures(found)),
        rows=ordered(found),
        words=conclusions,
        value=spelled.value,
        units=UNITS,
    )


def facts(found: Found) -> dict[str, str]:
    """How much was tried."""
    runs = sum(row.number == row.run for row in found.settings)
    dropped = sum(row.dropped for row in found.settings if row.number == row.run)
    told = {
        "settings": str(len(found.settings)),
        "different requests": str(runs),
        "rows compared": str(found.rows),
        "rows held out": str(found.held_out),
        "answers": f"{found.answers:,}",
        "margin": f"{found.margin:g}",
        "seed": str(found.seed),
    }
    return told | ({"dropped on the way": str(dropped)} if dropped else {})


def ordered(found: Found) -> list[Row]:
    """The settings, the best first; those that were dropped last."""
    sign = 1 if found.higher_is_better else -1
    return sorted(found.settings, key=lambda row: (row.dropped, -sign * row.score.estimate, row.number))


def sections(found: Found) -> Iterator[tuple[str, list[str]]]:
    """Titles and lines, in the order of reading."""
    yield found.conclusions[0], [", ".join(f"{name} {value}" for name, value in facts(found).items())]
    yield "What the intervals allow", list(found.conclusions[1:])
    for effect in found.effects:
        yield f"{effect.parameter}: {effect.verdict}", list(_levels(effect, found))
    if found.shares:
        how = "exact" if found.exact else "fitted"
        yield f"Shares of the variation of {found.metric} ({how})", list(_shares(found))
    yield f"Best settings by {found.metric}", list(_settings(found))
    for name, numbers in found.fronts.items():
        yield f"Not beaten in {found.metric} and {name}", [_name(found.settings[number]) for number in numbers]
    notes = [*found.notes, *(f"{count} settings left out: {reason}" for reason, count in found.left_out.items())]
    if notes:
        yield "What to know", notes
    if found.preset:
        yield "Preset", [f"kept in {found.bundle} as '{found.preset}'"]


def _levels(effect: Effect, found: Found) -> Iterator[str]:
    width = max(len(level.value) for level in effect.levels)
    for level in effect.levels:
        if level.value == effect.reference:
            yield f"{level.value:>{width}}  {found.metric} {level.score:.4f}  (reference)"
            continue
        change = conclusions.bounds(level.effect)
        yield f"{level.value:>{width}}  {found.metric} {level.score:.4f}  {change}  p {level.p_value:.2g}"


def _shares(found: Found) -> Iterator[str]:
    for share in found.shares:
        yield f"{share.share:6.1%}  {' x '.join(share.parameters)}  p {share.p_value:.2g}"
    yield f"{found.rest:6.1%}  the rest"


def _settings(found: Found) -> Iterator[str]:
    for row in ordered(found)[:_MOST_ROWS]:
        measures = "  ".join(f"{name} {value:.3g}" for name, value in row.measures.items())
        gain = "defaults" if row.number == 0 else f"{conclusions.bounds(row.gain)} p {row.p_value:.2g}"
        yield f"{row.score.estimate:.4f}  {_name(row)}  {gain}  ({row.rows} rows)  {measures}"


def _name(row: Row) -> str:
    return conclusions.name(row)
