"""The plan in the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunesmith.planning.model import OnGpu, Plan, Span
from tunesmith.report.terminal import duration, size

_PIPE_WIDTH = 240
"""Columns of a table that no terminal shows, so that nothing is cut."""


def show(plan: Plan, console: Console | None = None) -> None:
    """Print the plan.

    Args:
        plan: what to tell.
        console: where to; None: the standard output.
    """
    console = console or Console(width=None if Console().is_terminal else _PIPE_WIDTH)
    said: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}
    console.print(f"{_between(plan.seconds)} on this machine ({plan.machine})", style="bold", **said)
    for line in _facts(plan):
        console.print(f"  {line}", **said)
    console.print(_parts(plan))
    if plan.gpu:
        console.print(f"On {plan.gpu.name}, by estimate", style="bold", **said)
        console.print(_variants(plan.gpu))
        for line in plan.gpu.assumptions:
            console.print(f"  assumed: {line}", **said)
    for line in plan.notes:
        console.print(f"  note: {line}", **said)


def plain(plan: Plan) -> str:
    """What ``show`` prints, as text."""
    text = io.StringIO()
    show(plan, Console(file=text, width=_PIPE_WIDTH, color_system=None))
    return text.getvalue()


def _facts(plan: Plan) -> Iterator[str]:
    many, memory = plan.size, plan.memory
    yield f"{plan.task} · {plan.base} · {plan.adapter}"
    rows = ", ".join(f"{count:,} {name}" for name, count in many.rows.items())
    yield f"rows: {rows} · {many.tokens['train']:,} training tokens a pass"
    yield (
        f"steps: {many.steps:,} in {many.epochs:.2g} passes · micro-batches of {many.micro_tokens:,} tokens · "
        f"{many.evaluations} evaluations · {plan.tokens_per_s:,.0f} tokens/s"
    )
    yield f"weights: {many.trainable:,} of {many.parameters:,} train · {many.flops:.2g} operations in all"
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
        "rest": memory.rest,
    }
    told = ", ".join(f"{name} {size(count)}" for name, count in parts.items())
    yield f"memory: {size(memory.peak)} at its peak ({told})"
    disk = plan.disk
    yield f"disk: {size(disk.training)} while training, {size(disk.finished)} afterwards; {size(disk.free)} free"
    if plan.cost:
        yield f"cost: {plan.cost.expected:.2f} ({plan.cost.low:.2f} to {plan.cost.high:.2f})"


def _parts(plan: Plan) -> Table:
    table = Table("part of the run", "time", "from", "to", box=None, pad_edge=True)
    for part in plan.parts:
        span = part.seconds
        table.add_row(Text(part.name), *map(duration, (span.expected, span.low, span.high)))
    return table


def _variants(gpu: OnGpu) -> Table:
    table = Table("how", "micro-batch", f"memory of {size(gpu.memory)}", "time", "cost", box=None, pad_edge=True)
    for one in gpu.variants:
        fits = size(one.memory) if one.fits else f"{size(one.memory)}: does not fit"
        time = "" if one.seconds is None else f"about {duration(one.seconds)}"
        cost = "" if one.cost is None else f"{one.cost:.2f}"
        table.add_row(Text(one.name), f"{one.micro_tokens:,}", fits, time, cost)
    return table


def _between(span: Span) -> str:
    return f"{duration(span.expected)} ({duration(span.low)} to {duration(span.high)})"
