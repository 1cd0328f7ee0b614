"""Printed for people: what is declared of a parameter, and what was found of one on a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.explaining.declared import Declared, Sheet
from tunesmith.explaining.elsewhere import PROGRAMS
from tunesmith.explaining.found import Column, Found, said
from tunesmith.report.terminal import sparkline

_PIPE_WIDTH = 200
_PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
_MOST_SHOWN = 6


def groups(found: Mapping[str, Sequence[Declared]]) -> None:
    """All parameters, by the tasks that have them."""
    console = _console()
    for tasks, group in found.items():
        console.print(tasks, style="bold", **_PLAIN)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for one in group:
            table.add_row(Text(f"  {one.name}"), Text(one.leaf.help))
        console.print(table)
    console.print("tunesmith explain NAME tells more of one; with a bundle, what it does to its answers.", **_PLAIN)


def sheets(found: Sequence[Sheet]) -> None:
    """What is declared of a parameter, task by task where these differ."""
    console = _console()
    for one in found:
        console.print(f"{one.name}  ({', '.join(one.tasks)})", style="bold", **_PLAIN)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for title, line in _lines(one):
            table.add_row(Text(f"  {title}", style="dim"), Text(line))
        console.print(table)
        if one.elsewhere:
            console.print(_elsewhere(one))


def found(one: Found) -> None:
    """What was found on a model: bars, numbers, samples, and at last what they say."""
    console = _console()
    console.print(f"{one.name} on {one.model}", style="bold", **_PLAIN)
    held = "".join(f", {name} {said(value)}" for name, value in one.held.items())
    console.print(f"{one.about}{held}; compared with {one.name} {said(one.usual)}\n", **_PLAIN)
    columns = [column for column in one.columns if any(number is not None for number in column.numbers)]
    if len(one.values) > 1:
        console.print(_bars(columns))
    if columns:
        console.print(_numbers(one, columns))
    if "place" in one.details and not one.inert:
        _place(console, one)
    if one.samples:
        console.print(_samples(one))
    for sentence in one.sentences:
        console.print(str(sentence), **_PLAIN)


def _lines(one: Sheet) -> Iterator[tuple[str, str]]:
    yield "meaning", one.meaning
    if one.formula:
        yield "formula", one.formula
    if one.source:
        yield "source", one.source
    yield "legal", one.legal
    defaults = one.defaults
    alike = set(defaults) == {"all"}
    yield (
        "default",
        said(defaults["all"]) if alike else ", ".join(f"{said(v)} ({task})" for task, v in defaults.items()),
    )
    if one.search:
        yield "search range", one.search
    if one.place:
        yield "order", f"sampler {one.place} of {len(one.order)}: {_marked(one)}"
    for title, interaction in zip(["beside others", *[""] * len(one.interactions)], one.interactions, strict=False):
        yield title, str(interaction)
    for title, (engine, when) in zip(["honoured by", *[""] * len(one.engines)], one.engines.items(), strict=False):
        yield title, f"{engine} {when}".strip()


def _marked(one: Sheet) -> str:
    """The samplers around this one, in their order."""
    place = one.place - 1
    before, after = one.order[max(0, place - 2) : place], one.order[place + 1 : place + 3]
    return " → ".join(
        [*(["…"] if place > 2 else []), *before, f"[{one.order[place]}]", *after, *(["…"] if after else [])]
    )


def _elsewhere(one: Sheet) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("  elsewhere", "name", "default", "differs"):
        table.add_column(title, style="dim" if title == "  elsewhere" else None)
    for program in PROGRAMS:
        if (there := one.elsewhere.get(program)) is not None:
            named = there.name or ("" if there.differs else "has none")
            table.add_row(*(Text(cell) for cell in (f"  {program}", named, there.default, there.differs)))
    return table


def _bars(columns: Sequence[Column]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for column in columns:
        known = [number for number in column.numbers if number is not None]
        ends = f"{column.shown(min(known))} … {column.shown(max(known))}"
        table.add_row(column.name, sparkline(known), ends, Text(str(column.meaning), style="dim"))
    return table


def _numbers(one: Found, columns: Sequence[Column]) -> Table:
    table = Table(one.name, box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.name, justify="right")
    if any(column.before is not None for column in columns):
        before = f"{said(one.usual)} (compared with)"
        table.add_row(before, *("" if c.before is None else c.shown(c.before) for c in columns), style="dim")
    for number, value in enumerate(one.values):
        table.add_row(said(value), *(column.shown(column.numbers[number]) for column in columns))
    return table


def _place(console: Console, one: Found) -> None:
    """The next token at the place that changes most, before and with a few values."""
    place, values = one.details["place"], one.values
    few = sorted({round(step * (len(values) - 1) / max(1, _MOST_SHOWN - 1)) for step in range(_MOST_SHOWN)})
    few = [number for number in few if number < len(values)]
    console.print(f"The next token where {one.name} changes most, after {place['before']!r}:", **_PLAIN)
    table = Table("", f"{said(one.usual)}", *(said(values[number]) for number in few), box=None, padding=(0, 2, 0, 0))
    for row in place["next"]:
        cells = (row["without"], *(row["with"][number] for number in few))
        table.add_row(Text(repr(row["token"])), *(f"{cell:.3f}" if cell else "-" for cell in cells))
    console.print(table)


def _samples(one: Found) -> Table:
    scored = any(sample.score is not None for sample in one.samples)
    table = Table(one.name, "input", "answer", *(["score"] if scored else []), box=None, padding=(0, 2, 0, 0))
    for sample in one.samples:
        score = [] if not scored else ["" if sample.score is None else f"{sample.score:.3f}"]
        table.add_row(said(sample.value), Text(sample.input[-60:]), Text(sample.answer), *score)
    return table


def _console() -> Console:
    return Console(width=None if Console().is_terminal else _PIPE_WIDTH)
