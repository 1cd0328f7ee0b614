"""A sweep, from a saved model and labelled rows to what its request parameters do and which setting to take."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith import bundle as bundles
from tunesmith import engine_choice, metrics, params, plugins, predict, presets
from tunesmith.data.labelled import read_labelled
from tunesmith.errors import DataError, UsageError
from tunesmith.generation.honours import Case, refused
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params
from tunesmith.sweeping import analysis, conclusions, design, examples, judging, race, show, space
from tunesmith.sweeping.design import Design, Setting
from tunesmith.sweeping.found import Found, Recommendation
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.samples import Kept
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.space import Space
from tunesmith.sweeping.writing import Writer, answers_of

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.predict import Model

STUDY = "study.json"

_UNIT_ANSWERS = 256
_FEWEST_ROWS = 4
_OWN = ("budget", "price", "resume", "out", "save_preset")
"""What another call that goes on with a study may change."""


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: its folder, and what it found."""

    folder: Path
    found: Found

    def show(self, *, as_json: bool = False) -> None:
        """Print it."""
        if as_json:
            print(json.dumps(self.found.to_json(), ensure_ascii=False))
        else:
            show.show(self.found)
            print(f"{self.folder / show.PAGE}")


def sweep(bundle: str | Path, data: str, settings: Settings, texts: Mapping[str, str], *, quiet: bool = False) -> Sweep:
    """Find out what request parameters do.

    Args:
        bundle: folder of the saved model.
        data: labelled rows, as ``data.test`` takes them.
        settings: how to sweep.
        texts: request parameters with their text; see ``space`` for how several values are written.
        quiet: show no progress.

    Raises:
        UsageError: something in the call is not legal.
        DataError: rows cannot be used, or are too few.
    """
    began = time.monotonic()
    study = _open(bundle, data, settings, texts, quiet)
    with tempfile.TemporaryDirectory() as folder:
        table = read_labelled(data, study.model.bundle.config, study.model.target, Path(folder))
        rows = _rows(len(table), settings)
        answered = (_written if study.model.task.writes else _read)(study, table, rows, began)
        found = _found(study, table, answered)
    found = _saved(study, found)
    show.write(found, study.folder)
    return Sweep(study.folder, found)


@dataclass(frozen=True)
class Study:
    """What is asked, with where its answers are kept."""

    folder: Path
    data: str
    model: Model
    settings: Settings
    space: Space
    design: Design
    metric: str
    quiet: bool

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if metrics.higher_is_better(self.metric) else -1

    def note(self, text: str) -> None:
        """Tell how it goes."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Rows:
    """Numbers of the rows that settings are compared on, and of those that are held out."""

    compared: list[int]
    held_out: list[int]


@dataclass(frozen=True)
class Answered:
    """The answers.

    Args:
        rows: as planned.
        judged: of each run, on the rows that it answered.
        dropped: runs that the race dropped.
        best: number of the setting that is recommended if it holds.
        held: of the best run and of the defaults, on the rows held out.
        answers: how many were given.
        notes: what a reader must know.
    """

    rows: Rows
    judged: Mapping[int, Judged]
    dropped: list[int]
    best: int
    held: Mapping[int, Judged]
    answers: int
    notes: list[str] = field(default_factory=list)


def request_of(bundle: str | Path) -> tuple[bundles.Bundle, Params]:
    """A bundle, and what it does where nothing is asked."""
    opened = bundles.open_bundle(bundle)
    group = plugins.module("tasks", opened.config.task_name).Request
    return opened, params.check(group, dict(opened.config.request))


def load(bundle: Path, engine: str | None) -> Model:
    """The model; by PyTorch where that can open it, whose draws repeat."""
    if engine is None and "pytorch" in engine_choice.openable(bundle):
        engine = "pytorch"
    if engine is not None and not engine.startswith("http") and engine not in plugins.names("engines"):
        hint = f"legal: {', '.join(plugins.names('engines'))}, or the address of a server"
        raise UsageError(f"no engine '{engine}'", where="--engine", hint=hint)
    return predict.load(bundle, engine)


def refusal_of(model: Model, request: Params) -> str | None:
    """Why an engine cannot answer a request; None: it can."""
    if not isinstance(request, GenerationRequest):
        return None
    found = list(refused(model.engine.honours, Case(request, model.engine.facts)))
    return "; ".join(f"the engine refuses {name}: {why}" for name, why in found) or None


def _open(bundle: str | Path, data: str, settings: Settings, texts: Mapping[str, str], quiet: bool) -> Study:
    opened, defaults = request_of(bundle)
    varied = space.read(type(defaults), texts)
    options: dict[str, Any] = {"kind": settings.design, "count": settings.settings, "seed": settings.seed}
    design.make(varied, defaults, **options)  # mistakes are told before the weights are loaded
    model = load(opened.folder, settings.engine)
    metric = judging.metric_of(model, settings.metric)
    designed = design.make(varied, defaults, **options, refused=lambda request: refusal_of(model, request))
    folder = _claim(opened.folder, data, settings, texts)
    study = Study(folder, data, model, settings, varied, designed, metric, quiet)
    study.note(f"{len(designed.settings)} settings, {len(designed.runs)} different requests, into {folder}")
    for reason, count in designed.left_out.items():
        study.note(f"{count} settings left out: {reason}")
    return study


def _claim(bundle: Path, data: str, settings: Settings, texts: Mapping[str, str]) -> Path:
    """The study's folder, new or with the same study in it."""
    identity = hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()[:16]
    asked = {name: each for name, each in settings.model_dump(mode="json").items() if name not in _OWN}
    asked.pop("save-preset", None)
    study = {"bundle": identity, "data": _identity(data), "settings": asked, "parameters": dict(sorted(texts.items()))}
    folder = Path(settings.out) if settings.out else _free(Path("sweeps") / bundle.resolve().name, settings.resume)
    file = folder / STUDY
    if not settings.resume:
        if folder.exists() and any(folder.iterdir()):
            hint = "go on with it by --resume, or give another folder by --out"
            raise UsageError("the folder holds something already", where=str(folder), hint=hint)
        folder.mkdir(parents=True, exist_ok=True)
        bundles.write_text(file, json.dumps(study, indent=1, ensure_ascii=False))
        return folder
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError("there is no study to go on with", where=str(file), hint="leave --resume out") from None
    if differing := [name for name in study if known.get(name) != study[name]]:
        hint = "give the same call again; budget and price may differ"
        raise UsageError(f"the study was begun with other {', '.join(differing)}", where=str(file), hint=hint)
    return folder


def _identity(data: str) -> str:
    """The data's place, and of one file its content."""
    file = Path(data)
    return f"{data} {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}" if file.is_file() else data


def _free(folder: Path, resume: bool) -> Path:
    """The folder, or where it is taken the first with a number; to go on, the last that is there."""
    number, named = 1, folder
    while named.exists():
        number += 1
        last, named = named, folder.with_name(f"{folder.name}-{number}")
    return named if not resume or number == 1 else last


def _rows(count: int, settings: Settings) -> Rows:
    """Which rows are compared, and which held out, drawn by the seed."""
    drawn = np.random.default_rng([settings.seed, 1]).permutation(count)[: settings.rows].tolist()
    if len(drawn) < _FEWEST_ROWS:
        raise DataError(
            f"{len(drawn)} rows are too few to compare anything", hint=f"at least {_FEWEST_ROWS}, better hundreds"
        )
    held = min(max(2, round(len(drawn) * settings.held_out)), len(drawn) - 2)
    return Rows(drawn[held:], drawn[:held])


def _read(study: Study, table: pa.Table, rows: Rows, began: float) -> Answered:
    """A task that reads: every setting on every row, which costs little once the outputs are there."""
    reads = judging.Reads(study.model, table)
    whole = {run.number: reads.judged(run) for run in study.design.runs}
    judged = {number: judging.places(one, np.array(rows.compared)) for number, one in whole.items()}
    found = analysis.rows(study.design, judged, study.metric, study.sign, [], study.settings.seed)
    best = analysis.best(found, study.sign)
    run = study.design.settings[best].run
    held = {number: judging.places(whole[number], np.array(rows.held_out)) for number in {0, run}}
    notes = list(dict.fromkeys(note for one in study.design.runs for note in reads.idle(one)))
    _keep_answers(study, whole)
    return Answered(rows, judged, [], best, held, len(table) * len(whole), notes)


def _keep_answers(study: Study, whole: Mapping[int, Judged]) -> None:
    """The answers for people; they are computed anew where a study goes on."""
    lines = (
        json.dumps({"setting": number, "row": row, "text": text}, ensure_ascii=False) + "\n"
        for number, one in whole.items()
        for row, text in enumerate(one.shown)
    )
    bundles.write_text(study.folder / "samples.jsonl", "".join(lines))


def _written(study: Study, table: pa.Table, rows: Rows, began: float) -> Answered:
    """A task that writes: rows in blocks, each answered by all settings that are still in the race."""
    kept = Kept(study.folder)
    writer = Writer(study.model, study.settings.seed, study.settings.samples)
    compared = _Compared(study, table, kept, writer, rows, began)
    done = compared.go()
    judged = {run.number: compared.judged(run, done[run.number]) for run in study.design.runs}
    dropped = [number for number in done if number not in compared.alive]
    found = analysis.rows(study.design, judged, study.metric, study.sign, dropped, study.settings.seed)
    best = analysis.best(found, study.sign)
    finalists = [one for one in study.design.runs if one.number in {0, study.design.settings[best].run}]
    compared.answer(rows.held_out, finalists)
    held = {one.number: compared.judge(one, rows.held_out) for one in finalists}
    return Answered(rows, judged, dropped, best, held, len(kept), compared.notes)


class _Compared:
    """The rows that settings are compared on, being answered."""

    def __init__(self, study: Study, table: pa.Table, kept: Kept, writer: Writer, rows: Rows, began: float) -> None:
        self._study, self._table, self._kept, self._writer = study, table, kept, writer
        self._rows, self._began = rows, began
        self._runs = {run.number: run for run in study.design.runs}
        self.alive = list(self._runs)
        self.notes: list[str] = []
        self._answers, self._seconds = 0, 0.0

    def go(self) -> dict[int, int]:
        """Answer rows until all are answered, one setting is left, or the time is over; how many each run has."""
        racing = self._study.settings.design == "race"
        total, done = len(self._rows.compared), 0
        looks = race.looks(total, len(self.alive)) if racing else (total,)
        if racing and len(looks) == 1:
            self.notes.append(f"{total} rows are too few to drop any of {len(self.alive)} settings on the way")
        counts = dict.fromkeys(self._runs, 0)
        for look in looks:
            while done < look and not self._is_over(done):
                step = min(look - done, self._rows_of_a_unit())
                self.answer(self._rows.compared[done : done + step], [self._runs[number] for number in self.alive])
                done += step
                counts |= dict.fromkeys(self.alive, done)
                self._study.note(
                    f"{done} of {total} rows, {len(self.alive)} settings, {time.monotonic() - self._began:.0f} s"
                )
            if done < look:
                self.notes.append(f"the budget was spent after {done} of {total} rows")
                break
            if racing and look < total:
                self._drop(done, len(looks))
            if racing and len(self.alive) == 1:
                break
        if not done:
            raise UsageError("the budget was spent before any row was answered", where="--budget", hint="raise it")
        return counts

    def answer(self, rows: list[int], runs: list[Setting]) -> None:
        """Have settings answer rows, unless all these answers are there."""
        samples = self._study.settings.samples
        if all(len(self._kept.of(run.number, row)) == answers_of(run.request, samples) for run in runs for row in rows):
            return
        began = time.monotonic()
        found = self._writer.unit(self._table, rows, runs)
        self._kept.add(found)
        self._answers += len(found)
        self._seconds += time.monotonic() - began

    def judge(self, run: Setting, rows: list[int]) -> Judged:
        """A run's answers to some rows beside the truth."""
        return judging.written(self._study.model, self._table, rows, run, self._kept, self._study.settings.price)

    def judged(self, run: Setting, count: int) -> Judged:
        """A run's answers to the first rows."""
        return self.judge(run, self._rows.compared[:count])

    def _drop(self, done: int, planned: int) -> None:
        values = [self.judged(self._runs[number], done).by_row(self._study.metric) for number in self.alive]
        self.alive = race.survivors(self._study.sign * np.stack(values), self.alive, len(self._runs), planned)

    def _rows_of_a_unit(self) -> int:
        each = sum(answers_of(self._runs[number].request, self._study.settings.samples) for number in self.alive)
        return max(1, _UNIT_ANSWERS // each)

    def _is_over(self, done: int) -> bool:
        """Whether the time left is needed for the rows held out."""
        budget = self._study.settings.budget
        if budget is None or not self._answers:
            return False
        pace = self._seconds / self._answers
        last = 2 * len(self._rows.held_out) * self._study.settings.samples * pace
        unit = self._rows_of_a_unit() * len(self.alive) * self._study.settings.samples * pace
        return time.monotonic() - self._began + last + unit > budget


def _found(study: Study, table: pa.Table, answered: Answered) -> Found:
    settings, metric, sign = study.settings, study.metric, study.sign
    rows = analysis.rows(study.design, answered.judged, metric, sign, answered.dropped, settings.seed)
    margin = settings.margin or judging.margin_of(metric, rows[0].score.estimate)
    effects, shares, parts = analysis.effects(study.design, answered.judged, metric, margin, settings.seed)
    run = study.design.settings[answered.best].run
    recommended = analysis.recommend(answered.best, answered.held, run, metric, sign, margin, settings.seed)
    found = Found(
        bundle=str(study.model.bundle.folder),
        data=study.data,
        task=study.model.bundle.config.task_name,
        engine=settings.engine or "pytorch",
        metric=metric,
        higher_is_better=sign > 0,
        margin=margin,
        seed=settings.seed,
        samples=settings.samples,
        design=settings.design,
        rows=max(map(len, answered.judged.values())),
        common_rows=min(map(len, answered.judged.values())),
        held_out=len(answered.rows.held_out),
        answers=answered.answers,
        fixed=dict(study.space.fixed),
        settings=rows,
        effects=effects,
        shares=parts,
        exact=shares.exact,
        rest=shares.rest,
        fronts=analysis.fronts(rows, sign),
        recommendation=recommended,
        examples=examples.gather(table, answered.rows.compared, study.model, answered.judged, rows, recommended),
        left_out=dict(study.design.left_out),
        notes=tuple([*answered.notes, *_notes(study, shares.exact)]),
    )
    return replace(found, conclusions=conclusions.sentences(found))


def _notes(study: Study, exact: bool) -> list[str]:
    notes = []
    same = len(study.design.settings) - len(study.design.runs)
    if same:
        notes.append(f"{same} settings come to the same request as another one, whose answers they share")
    if not exact:
        notes.append("the settings are no balanced grid: shares are fitted, effects are those of an additive model")
    if not study.model.task.writes:
        return notes
    writer = Writer(study.model, study.settings.seed, study.settings.samples)
    drawn: list[Any] = [one.request for one in study.design.runs if answers_of(one.request, 2) == 2]
    if drawn and not writer.seeds(drawn[0].model_copy(update={"seed": 1})):
        notes.append("the engine draws by seeds of its own: these answers cannot be repeated")
    if not drawn and study.settings.samples > 1:
        notes.append("nothing is drawn in any setting, so each row has one answer")
    return notes


def _saved(study: Study, found: Found) -> Found:
    """The preset, where one is asked for and the recommendation holds."""
    wanted, one = study.settings.save_preset, found.recommendation
    if wanted is None:
        return found
    if not one.is_recommended:
        study.note(f"no preset was saved: {found.conclusions[0]}")
        return replace(found, notes=(*found.notes, f"the preset '{wanted}' was not saved, as nothing is recommended"))
    setting = study.design.settings[one.setting]
    parameters = _parameters(setting.request, {**study.space.fixed, **setting.values})
    presets.save(
        study.model.bundle.folder, wanted, presets.Preset(parameters, found.conclusions[0], evidence(found, one))
    )
    return replace(found, preset=wanted)


def evidence(found: Found, one: Recommendation) -> dict[str, Any]:
    """What was measured, for the preset."""
    names = ("data", "metric", "margin", "seed", "samples", "engine", "rows")
    told = {name: getattr(found, name) for name in names}
    identity = hashlib.sha256((Path(found.bundle) / "bundle.json").read_bytes()).hexdigest()[:16]
    measured = {name: each for name, each in asdict(one).items() if name not in ("setting", "needed_rows")}
    return {**told, "bundle": identity, "held_out": measured}


def _parameters(request: Params, names: Mapping[str, Any]) -> dict[str, Any]:
    plain = request.model_dump(mode="json", by_alias=True)
    return {name: plain[name] for name in names}
