"""The same settings and seeds on several engines: where answers and scores differ, and what each engine refuses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith import metrics
from tunesmith.data.labelled import read_labelled
from tunesmith.effects.intervals import Interval
from tunesmith.params import Params
from tunesmith.sweeping import analysis, comparing, conclusions, design, judging, models, orders, space, study
from tunesmith.sweeping.design import Design, Setting
from tunesmith.sweeping.found import as_plain
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.study import Study

_SHOWN = 3


@dataclass(frozen=True)
class OnEngine:
    """A setting on an engine, beside the first engine.

    Args:
        setting: its number.
        engine: as given.
        refused: why the engine does not answer it; None: it does.
        score: the metric; None where it is refused.
        gain: how much better than on the first engine; None: one of the two refuses it.
        same: share of the first answers that are the same text.
        differing: a few rows with the two texts.
    """

    setting: int
    engine: str
    refused: str | None = None
    score: float | None = None
    gain: Interval | None = None
    same: float | None = None
    differing: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Across:
    """All engines.

    Args:
        metric: that was measured.
        rows: that were answered.
        settings: what each number stands for.
        found: of each setting and engine.
        notes: what differs between the engines whatever is asked.
    """

    metric: str
    rows: int
    settings: Mapping[int, str]
    found: tuple[OnEngine, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        plain: dict[str, Any] = as_plain(asdict(self))
        return plain

    def __str__(self) -> str:
        lines = [f"{self.metric} on {self.rows} rows, each engine beside the first"]
        for number, words in self.settings.items():
            lines.append(words)
            lines += [f"  {_line(one)}" for one in self.found if one.setting == number]
        return "\n".join([*lines, *self.notes])


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
    """
    saved, defaults = models.request_of(bundle)
    varied = space.read(type(defaults), texts)
    designed = design.make(varied, defaults, kind=settings.design, count=settings.settings, seed=settings.seed)
    models.check(settings.engines)
    judged: dict[str, dict[int, Judged]] = {}
    refusals: dict[str, dict[int, str]] = {}
    metric, rows = "", 0
    with tempfile.TemporaryDirectory() as folder:
        for number, engine in enumerate(settings.engines):
            model = models.load(saved.folder, engine)
            metric = metric or judging.metric_of(model, settings.metric)
            refusals[engine] = _refusals(model, designed)
            able = tuple(one for one in designed.runs if one.number not in refusals[engine])
            place = Path(folder) / str(number)
            place.mkdir()
            opened = Study(place, data, model, settings, varied, Design(able, designed.axes), metric, quiet)
            opened.note(f"{engine}: {len(able)} of {len(designed.runs)} requests")
            table = read_labelled(data, saved.config, model.target, place)
            chosen = study.drawn(len(table), settings)
            rows = len(chosen)
            judged[engine] = comparing.all_of(opened, table, chosen, time.monotonic()) if able else {}
    found = [
        _one(run, engine, settings, judged, refusals, metric) for run in designed.runs for engine in settings.engines
    ]
    words = {run.number: run.words() for run in designed.runs}
    return Across(metric, rows, words, tuple(found), tuple(_notes(settings.engines)))


def _refusals(model: Any, designed: Design) -> dict[int, str]:
    """Why an engine does not answer settings, those that it refuses; seeds are not held against it."""
    found: dict[int, str] = {}
    for run in designed.runs:
        request: Params = run.request
        if reason := models.refusal_of(model, request):
            found[run.number] = reason
    return found


def _one(
    run: Setting,
    engine: str,
    settings: Settings,
    judged: Mapping[str, Mapping[int, Judged]],
    refusals: Mapping[str, Mapping[int, str]],
    metric: str,
) -> OnEngine:
    if reason := refusals[engine].get(run.number):
        return OnEngine(run.number, engine, reason)
    own = judged[engine][run.number]
    score = float(own.score(metric, np.ones((1, len(own))))[0])
    first = judged[settings.engines[0]].get(run.number)
    if first is None:
        return OnEngine(run.number, engine, score=score)
    sign = 1 if metrics.higher_is_better(metric) else -1
    pairs = list(zip(first.shown, own.shown, strict=True))
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    same = 1 - len(differing) / len(pairs)
    gain = analysis.gain(own, first, metric, sign, settings.seed)
    return OnEngine(run.number, engine, None, score, gain, same, tuple(differing[:_SHOWN]))


def _line(one: OnEngine) -> str:
    if one.refused:
        return f"{one.engine}: not answered: {one.refused}"
    told = f"{one.engine}: {one.score:.4f}"
    if one.gain is None or one.same is None:
        return told
    return f"{told}  {conclusions.bounds(one.gain)}  {one.same:.0%} of the answers the same"


def _notes(engines: tuple[str, ...]) -> list[str]:
    """What engines do where nothing is asked, and their order, where these are known to be others than ours."""
    notes = []
    for engine in engines:
        known = {"vllm": "vllm", "ctranslate2": "ctranslate2", "llama-cpp": "llama.cpp"}.get(engine)
        if known is None:
            continue
        defaults = ", ".join(f"{name} {value}" for name, value in orders.THEIR_DEFAULTS[known].items())
        order = ", ".join(orders.ORDERS[known])
        notes.append(f"{engine} by itself: {defaults}; its order: {order}. Here it is asked for ours, or refuses.")
    return notes
