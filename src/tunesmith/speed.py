"""How fast each engine answers with a bundle on this machine, and which is to be taken where none is named."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith import bundle as bundles
from tunesmith import engine_choice, exported, machine, plugins, predict
from tunesmith.data.labelled import read_inputs
from tunesmith.errors import UsageError
from tunesmith.predict import Input, Model

BATCHES = (1, 8, 32)
"""Inputs of one call."""

_LEAST_CALLS = 3


@dataclass(frozen=True)
class Speed:
    """What one engine does.

    Args:
        engine: its name.
        precision: number format of its weights.
        answers_per_s: by the inputs of one call.
        tokens_per_s: that it writes, by the inputs of one call; empty where answers are no written texts.
        p50_ms: median time of a call with one input.
        p95_ms: the time that 95 % of these keep to.
        load_s: seconds until it is ready.
    """

    engine: str
    precision: str
    answers_per_s: dict[int, float]
    tokens_per_s: dict[int, float]
    p50_ms: float
    p95_ms: float
    load_s: float

    @property
    def overall(self) -> float:
        """Geometric mean of the answers a second at all sizes of calls, by which engines are compared."""
        return statistics.geometric_mean(self.answers_per_s.values())


@dataclass(frozen=True)
class Race:
    """What all engines do that can open a bundle.

    Args:
        bundle: its folder.
        machine: the processor, and how many cores of it are used.
        inputs: how many different ones were answered.
        speeds: of each engine.
        fastest: name of the one that answers most, over all sizes of calls, of those whose answers are the model's own.
    """

    bundle: str
    machine: str
    inputs: int
    speeds: tuple[Speed, ...]
    fastest: str

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return asdict(self)

    def __str__(self) -> str:
        """A table, and what is taken from now on."""
        sizes = list(self.speeds[0].answers_per_s)
        head = ["engine", "weights", *(f"answers/s by {size}" for size in sizes), "p50 ms", "p95 ms", "ready in s"]
        rows = [head, *(_row(speed) for speed in self.speeds)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines += [f"{one.engine} writes {_list(one.tokens_per_s)} tokens/s" for one in self.speeds if one.tokens_per_s]
        return "\n".join(
            [
                *lines,
                f"{self.fastest} is taken from now on: of those with the model's own answers the fastest on this machine ({self.machine})",
            ]
        )


def race(folder: str | Path, data: str | None = None, *, engine: str | None = None, seconds: float = 2.0) -> Race:
    """Measure every engine that can open a bundle, and keep the name of the fastest in it for this machine.

    Args:
        folder: the bundle.
        data: a file of inputs, of which the first 256 are answered; None: the golden inputs of the bundle.
        engine: only this one; nothing is kept then.
        seconds: that each size of call is tried for.

    Raises:
        UsageError: the file has no rows.
        BundleError: the bundle is damaged, or no engine can open it.
    """
    opened = bundles.open_bundle(folder)
    engine_choice.engine_of(opened.folder, engine)
    names = [engine] if engine else engine_choice.openable(opened.folder)
    measured, inputs = [], list[Input]()
    for name in names:
        began = time.perf_counter()
        try:
            model = predict.load(folder, name)
        except UsageError:  # it does not run on this machine
            if name == engine:
                raise
            continue
        model.answers((inputs := inputs or _inputs(model, data))[:1])
        measured.append(_speed(model, name, inputs, seconds, time.perf_counter() - began))
    fastest = max(_exact(measured) or measured, key=lambda one: one.overall).engine
    if engine is None:
        engine_choice.record(opened.folder, fastest)
    told = f"{machine.processor() or 'unknown processor'}, {machine.cores()} cores"
    return Race(str(folder), told, len(inputs), tuple(measured), fastest)


def _exact(measured: Sequence[Speed]) -> list[Speed]:
    """Those whose answers are the model's own; another is taken only where it is named."""
    return [one for one in measured if plugins.load("engines", one.engine).exact]


def _inputs(model: Model, data: str | None) -> list[Input]:
    if data is None:
        return model.golden_inputs()
    will_do = model.task.any_input_will_do
    rows = read_inputs(data, model.columns.values(), any_will_do=will_do)
    found: list[Input] = [
        {role: row.get(name) for role, name in model.columns.items()} for row in itertools.islice(rows, 256)
    ]
    if not found:
        raise UsageError("has no rows", where=data)
    return found


def _speed(model: Model, name: str, inputs: Sequence[Input], seconds: float, load_s: float) -> Speed:
    place = model.engine.place
    precision = exported.read(model.bundle.folder / place).precision if place else model.bundle.precision
    precision = model.engine.weights or precision
    answers, tokens, singles = dict[int, float](), dict[int, float](), list[float]()
    for size in BATCHES:
        calls = list(_calls(model, inputs, size, seconds))
        spent = sum(call for call, _ in calls)
        answers[size] = size * len(calls) / spent
        if written := sum(count for _, count in calls):
            tokens[size] = written / spent
        singles = singles or [1000 * call for call, _ in calls]
    cuts = statistics.quantiles(singles, n=20, method="inclusive")
    return Speed(name, precision, answers, tokens, statistics.median(singles), cuts[-1], load_s)


def _calls(model: Model, inputs: Sequence[Input], size: int, seconds: float) -> Iterator[tuple[float, int]]:
    """Seconds of each call with so many inputs, and the tokens that were written, until the time is over."""
    stream, end = itertools.cycle(inputs), time.perf_counter() + seconds
    model.answers(list(itertools.islice(stream, size)))
    for number in itertools.count():
        given = list(itertools.islice(stream, size))
        began = time.perf_counter()
        if number >= _LEAST_CALLS and began > end:
            return
        found = model.answers(given)
        yield time.perf_counter() - began, sum(_written(answer) for answer in found)


def _written(answer: Mapping[str, Any]) -> int:
    return int(answer.get("tokens", 0))


def _row(speed: Speed) -> list[str]:
    rates = [f"{rate:,.1f}" for rate in speed.answers_per_s.values()]
    return [speed.engine, speed.precision, *rates, f"{speed.p50_ms:.2f}", f"{speed.p95_ms:.2f}", f"{speed.load_s:.1f}"]


def _list(rates: Mapping[int, float]) -> str:
    return ", ".join(f"{rate:,.0f} (by {size})" for size, rate in rates.items())
