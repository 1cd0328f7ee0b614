"""The same settings and seeds on several engines: where answers and scores differ, and what each engine refuses.

A server of another program is asked twice: for the same numbers, and with these carried over into its terms, so that the
answers show both what its order and its defaults make of the numbers and whether the translation mends it.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith import bundle as bundles
from tunesmith import metrics
from tunesmith.data.labelled import read_labelled
from tunesmith.effects import corrections
from tunesmith.sweeping import (
    addresses,
    analysis,
    beside,
    comparing,
    design,
    judging,
    models,
    orders,
    said,
    space,
    study,
    validity,
)
from tunesmith.sweeping.beside import Across, OnEngine
from tunesmith.sweeping.design import Design, Setting
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.study import Study

if TYPE_CHECKING:
    from tunesmith.predict import Model

_SHOWN = 3
_KNOWN = {"vllm": "vllm", "ctranslate2": "ctranslate2", "llama-cpp": "llama.cpp"}
"""Engines of which it is known what they do by themselves."""
CARRIED = " (carried over)"


@dataclass(frozen=True)
class _Place:
    """An engine of the study: what it is called, and how it is opened."""

    name: str
    load: Callable[[], Model]
    server: addresses.Server | None = None


@dataclass(frozen=True)
class _Answered:
    """What an engine gave: of each run, or why it gave nothing."""

    judged: Mapping[int, Judged]
    refused: Mapping[int, str]


def compare(
    bundle: str | Path, data: str, settings: Settings, texts: Mapping[str, str], *, quiet: bool = False
) -> Across:
    """Put the same settings and seeds to several engines.

    Args:
        bundle: folder of the saved model.
        data: labelled rows.
        settings: with ``engines``.
        texts: request parameters with their text.
        quiet: show no progress.

    Raises:
        UsageError: something in the call is not legal, or an engine is not there.
        DataError: rows cannot be used, or are too few.
    """
    saved, defaults = models.request_of(bundle)
    varied = space.read(type(defaults), texts)
    designed = design.make(varied, defaults, kind=settings.design, count=settings.settings, seed=settings.seed)
    models.check(settings.engines)
    validity.forms(designed, settings)
    named = (*(axis.name for axis in varied.axes), *varied.fixed)
    places = list(_places(saved, settings, named))
    folder = study.place_of(saved.folder, settings)
    answered: dict[str, _Answered] = {}
    metric, rows = "", 0
    for place in places:
        model = place.load()
        if not metric:
            metric = judging.metric_of(model, settings.metric)
            with tempfile.TemporaryDirectory() as scratch:
                rows = len(study.drawn(len(read_labelled(data, saved.config, model.target, Path(scratch))), settings))
            study.claim(folder, saved.folder, data, settings, texts)
        own = folder / _file_name(place.name)
        own.mkdir(exist_ok=True)
        if place.server is not None:
            addresses.keep(place.server, own)
        opened = Study(own, data, model, settings, varied, designed, metric, quiet)
        answered[place.name] = _answers(opened, place.name)
    order = [place.name for place in places]
    found = Across(
        metric=metric,
        rows=rows,
        settings={run.number: run.words() for run in designed.runs},
        found=tuple(
            _corrected(
                [_one(run, name, order[0], answered, metric, settings) for run in designed.runs for name in order]
            )
        ),
        notes=tuple(_notes(places, named)),
        folder=str(folder),
    )
    beside.write(found)
    return found


def _places(saved: bundles.Bundle, settings: Settings, named: tuple[str, ...]) -> Iterator[_Place]:
    """The engines, a server of another program twice; servers are found before anything is computed."""
    for engine in settings.engines:
        if not addresses.is_address(engine):
            yield _Place(engine, lambda engine=engine: models.here(saved.folder, engine))  # type: ignore[misc]
            continue
        server = models.server(engine, settings)
        ways = (False,) if server.program == "tunesmith" else (False, True)
        for carried in ways:
            model = models.behind(saved, server, is_carried=carried, given=named)
            yield _Place(engine + CARRIED * carried, lambda model=model: model, server)  # type: ignore[misc]


def _answers(opened: Study, name: str) -> _Answered:
    """An engine's answers to the rows; seeds are not held against it."""
    refused = {
        run.number: reason for run in opened.design.runs if (reason := models.refusal_of(opened.model, run.request))
    }
    able = tuple(one for one in opened.design.runs if one.number not in refused)
    opened.note(f"{name}: {len(able)} of {len(opened.design.runs)} requests")
    if not able:
        return _Answered({}, refused)
    settings, model = opened.settings, opened.model
    asked = Study(
        opened.folder,
        opened.data,
        model,
        settings,
        opened.space,
        Design(able, opened.design.axes),
        opened.metric,
        opened.quiet,
    )
    with tempfile.TemporaryDirectory() as scratch:
        table = read_labelled(opened.data, model.bundle.config, model.target, Path(scratch))
        judged, later = comparing.all_of(asked, table, study.drawn(len(table), settings), time.monotonic())
    return _Answered(judged, refused | later)


def _one(
    run: Setting, name: str, first: str, answered: Mapping[str, _Answered], metric: str, settings: Settings
) -> OnEngine:
    if reason := answered[name].refused.get(run.number):
        return OnEngine(run.number, name, reason)
    own = answered[name].judged[run.number]
    score = float(own.score(metric, np.ones((1, len(own))))[0])
    measures = {each: float(values.mean()) for each, values in own.measured.items()}
    beside = answered[first].judged.get(run.number)
    if beside is None:
        return OnEngine(run.number, name, score=score, measures=measures)
    sign = 1 if metrics.higher_is_better(metric) else -1
    pairs = list(zip(beside.shown, own.shown, strict=True))
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    same = 1 - len(differing) / len(pairs)
    gain = analysis.gain(own, beside, metric, sign, settings.seed)
    p_value = float(analysis.p_gain(own, beside, metric)) if differing and name != first else 1.0
    return OnEngine(run.number, name, None, score, gain, p_value, same, tuple(differing[:_SHOWN]), measures)


def _corrected(found: list[OnEngine]) -> Iterator[OnEngine]:
    """The same with p-values corrected for how many settings an engine was compared in."""
    groups: dict[str, list[float]] = {}
    for one in found:
        groups.setdefault(one.engine, []).append(one.p_value)
    adjusted = {engine: iter(corrections.holm(values)) for engine, values in groups.items()}
    return (replace(one, p_value=float(next(adjusted[one.engine]))) for one in found)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


def _notes(places: list[_Place], named: tuple[str, ...]) -> Iterator[str]:
    """What engines do where nothing is asked, and their order, where these are known to be others than ours."""
    for place in places:
        if place.name.endswith(CARRIED):
            continue
        if place.server is not None:
            yield from _of_server(place.server, named)
        elif program := _KNOWN.get(place.name):
            yield f"{place.name} {_by_itself(program)}. Here it is asked for ours, or refuses."


def _of_server(server: addresses.Server, named: tuple[str, ...]) -> Iterator[str]:
    if server.program == "tunesmith":
        yield f"{server.name}: Tunesmith with the engine {server.about.get('engine')}, asked in our own terms"
    elif server.program == "openai":
        yield (
            f"{server.name}: a server of which order and defaults are not known; if it is one of vllm, llama.cpp and "
            f"transformers, say so as in vllm@{server.name.partition('@')[2] or server.name}"
        )
    else:
        yield (
            f"{server.name}: {server.program} {_by_itself(server.program)}. It is asked for the same numbers, and for these "
            "carried over."
        )
        for name, difference in said.differences(server.program, named).items():
            yield f"{name} in {server.program}: {difference}"


def _by_itself(program: str) -> str:
    defaults = ", ".join(f"{name} {value}" for name, value in orders.THEIR_DEFAULTS[program].items())
    return f"by itself: {defaults}; its order: {', '.join(orders.ORDERS[program])}"
