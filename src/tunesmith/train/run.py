"""A training run, from a config to a bundle with its report."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from accelerate import Accelerator

from tunesmith import bundle, plugins, predict, report
from tunesmith import config as configs
from tunesmith.bundle import Bundle
from tunesmith.config import Config
from tunesmith.data.prepare import prepare
from tunesmith.errors import TunesmithError, UsageError
from tunesmith.kept import training
from tunesmith.metrics import Counted, Predictions
from tunesmith.report import Beside, Folds, Report
from tunesmith.tasks.base import Target
from tunesmith.train import folds, learner, loop, processes, track
from tunesmith.train.budget import Budget
from tunesmith.train.describe import describe
from tunesmith.train.job import Course, Job, Watch, ignore
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Candidate, Learner

WORK = ".work"
"""Folder inside a run that holds what only training needs; it goes away when the run is finished."""

GOLDEN_ROWS = 16


@dataclass(frozen=True)
class Run:
    """A finished run: its folder (a bundle), its report and its model."""

    folder: Path
    report: Report

    def model(self) -> predict.Model:
        """The trained model."""
        return predict.load(self.folder)

    def show(self, *, as_json: bool = False) -> None:
        """Print the report, once if several processes made it."""
        if not processes.here().is_main_process:
            return
        if as_json:
            print(json.dumps(report.to_json(self.report), ensure_ascii=False))
        else:
            report.show(self.report)


def train(config: Config, *, quiet: bool = False) -> Run:
    """Train, evaluate and save a model as a config says.

    Raises:
        TunesmithError: anything that a user can mend; what was done until then is kept and can be resumed.
    """
    folder = processes.by_main(lambda: _begin(config))
    try:
        return _carry_out(config, folder, resumed=False, quiet=quiet)
    except (TunesmithError, KeyboardInterrupt):
        if not (loop.has_started(folder / WORK) or folds.has_started(folder / WORK)):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def resume(folder: Path, *, quiet: bool = False) -> Run:
    """Go on with a run that was stopped or killed.

    Raises:
        UsageError: there is no such run, or it is finished.
    """
    if not (folder / "config.yaml").exists():
        raise UsageError("no run to resume", where=str(folder), hint="a run folder holds a config.yaml")
    if (folder / "report.json").exists():
        shutil.rmtree(folder / WORK, ignore_errors=True)
        raise UsageError(
            "the run is finished", where=str(folder), hint=f"tunesmith train {folder / 'config.yaml'} repeats it"
        )
    return _carry_out(configs.resolve(folder / "config.yaml", environment={}), folder, resumed=True, quiet=quiet)


def _begin(config: Config) -> Path:
    folder = claim(config)
    bundle.write_text(folder / "config.yaml", configs.to_yaml(config))
    return folder


def _carry_out(config: Config, folder: Path, *, resumed: bool, quiet: bool) -> Run:
    began = time.monotonic()
    accelerator = track.start(config, folder)
    journal = Journal(folder / "log.jsonl", accelerator, quiet=quiet)
    own = folder / WORK / f"process-{accelerator.process_index}"
    task = plugins.load("tasks", config.task_name)(config.task)
    folds.check_task(task, config.train.folds)
    splits = prepare(config, task, own / "data")
    splits.stop_on_errors()
    learned = learner.build(config, splits, own, journal, started=resumed and loop.has_started(folder / WORK))
    processes.by_main(lambda: bundle.write_text(folder / "config.yaml", configs.to_yaml(learned.config)))
    crossed = folds.cross_validate(learned, folds.Around(folder, folder / WORK, journal, accelerator, began))
    course = learn(learned, folder, journal, accelerator, began, resumed=resumed)
    written = processes.by_main(lambda: finish(learned, course, folder, began, crossed))
    track.finish(accelerator, dict(written.metrics))
    return Run(folder, written)


def finish(
    learned: Candidate,
    course: Course,
    folder: Path,
    began: float,
    crossed: Folds | None = None,
    command: str | None = None,
) -> Report:
    """Save the model, score it as it will be loaded, and write the report, which makes the run a finished one.

    Args:
        learned: the model, with the weights that are to stay.
        course: how its training went.
        folder: of the run.
        began: ``time.monotonic()`` at its start.
        crossed: scores of cross-validation.
        command: what repeats it; None: a training by its config.
    """
    counts = learned.network.backbone.weight_counts  # an adapter may be saved in a larger form than it trained in
    saved = save(learned, folder)
    tables = learned.splits.tables
    split = "test" if "test" in tables else "validation"
    model = predict.load(folder)
    model.replay()
    predictions = model.predictions(tables[split])
    beside = _beside_base(model, tables[split], predictions)
    spent = time.monotonic() - began
    written = describe(
        learned,
        saved.target,
        predictions,
        split,
        course,
        folder,
        seconds=spent,
        beside=beside,
        folds=crossed,
        command=command,
        counts=counts,
    )
    report.write(written, predictions, folder)
    shutil.rmtree(folder / WORK)
    return written


def _beside_base(model: predict.Model, rows: pa.Table, predictions: Predictions | Counted) -> Beside | None:
    """What the base model, as it was, gives for a few of the rows, if it can answer."""
    numbers, places = model.task.also_untuned(len(rows), model.bundle.config.model.base)
    if not len(numbers):
        return None
    before = predict.load(model.bundle.folder, untuned=True).predictions(rows.take(numbers))
    assert isinstance(before, Counted)
    assert isinstance(predictions, Counted)
    return report.beside(before, predictions.take(places))


def learn(
    learned: Learner,
    folder: Path,
    journal: Journal,
    accelerator: Accelerator,
    began: float,
    *,
    resumed: bool = False,
    watch: Watch = ignore,
) -> Course:
    """Train the network; it holds the best weights afterwards.

    Args:
        learned: the network and its rows.
        folder: of the run.
        journal: its log.
        accelerator: what it runs on.
        began: ``time.monotonic()`` at its start.
        resumed: it goes on from its last checkpoint.
        watch: follows it; see ``Job``.
    """
    return loop.fit(job_of(learned, folder, journal, accelerator, began, watch), resume=resumed)


def job_of(
    learned: Learner,
    folder: Path,
    journal: Journal,
    accelerator: Accelerator,
    began: float,
    watch: Watch = ignore,
) -> Job:
    """What the training loop works on."""
    return Job(
        network=learned.network,
        examples=learned.training,
        loss=learned.loss,
        divergence=learned.divergence,
        evaluate=learned.scores,
        metric=learned.metric,
        train=learned.config.train,
        folder=folder / WORK,
        journal=journal,
        accelerator=accelerator,
        visits=learned.visits,
        budget=_budget(learned, folder / WORK / "pace", journal, began),
        adapter=learned.adapter,
        watch=watch,
    )


def _budget(learned: Learner, folder: Path, journal: Journal, began: float) -> Budget:
    """What the report will need; where the time is limited, answers are measured."""
    rows = {name: len(table) for name, table in learned.splits.tables.items()}
    answering_s, most = 0.0, learned.config.train.max_time
    if most is not None:
        few, count = learned.splits.tables["validation"], rows.get("test", rows["validation"])
        answering_s = learned.task.answering_s(
            learned.reader(learned.target), few, learned.request, folder, count=count
        )
        if answering_s:
            journal.note(f"of {most:g} s, the report's answers will take about {answering_s:.0f} s")
    return Budget(most, began, 1 + rows.get("test", 0) / rows["validation"], answering_s)


def save(learned: Candidate, folder: Path) -> Bundle:
    """Decide what is decided on the validation rows, then write the bundle with golden answers and what the rows were like."""
    learned.adapter.settle(learned.network.backbone)
    validated = learned.validate()
    target = learned.task.tune(validated, learned.target)
    bundle.write_text(folder / "golden.jsonl", _golden(learned, target, folder / WORK / "golden"))
    saved = bundle.write(folder, learned.network, learned.tokenizer, learned.config, target, learned.adapter)
    rows = learned.splits.tables["train"]
    training.write(folder, training.summarise(learned.task, target, rows, validated, learned.request, folder))
    return saved


def _golden(learned: Candidate, target: Target, folder: Path) -> str:
    """The first validation rows with what the model gives, to be replayed wherever the bundle is loaded anew."""
    given = learned.splits.tables["validation"].select(list(learned.task.inputs)).slice(0, GOLDEN_ROWS).to_pylist()
    inputs = [{name: value for name, value in row.items() if value is not None} for row in given]
    rows = pa.Table.from_pylist([learned.task.read_input(row) for row in inputs], schema=learned.task.schema())
    kept = learned.task.golden(learned.reader(target), rows, learned.request, folder)
    lines = [{"input": row, "scores": scores} for row, scores in zip(inputs, kept, strict=True)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def claim(config: Config, suffix: str = "") -> Path:
    """Make the run's folder; one that holds something is never written over.

    Args:
        config: names the folder, or the data and the task that the folder is called by.
        suffix: of a folder that is called by them.

    Raises:
        UsageError: it exists and is not empty, or cannot be made.
    """
    wanted = Path(config.out) if config.out else None
    try:
        if wanted is None:
            return _numbered(Path("runs"), usual_name(config) + suffix)
        if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
            unfinished = (wanted / "config.yaml").exists() and not (wanted / "report.json").exists()
            hint = (
                f"go on with it: tunesmith resume {wanted}" if unfinished else "choose another --out, or move it away"
            )
            raise UsageError("the run folder is not empty", where=str(wanted), hint=hint)
        wanted.mkdir(parents=True, exist_ok=True)
        (wanted / ".writable").touch()
        (wanted / ".writable").unlink()
    except OSError as error:
        raise UsageError(
            f"the run folder cannot be written: {error.strerror}",
            where=str(wanted or "runs"),
            hint="choose another --out",
        ) from None
    return wanted


def _numbered(parent: Path, name: str) -> Path:
    """The first of ``name``, ``name-2``, ``name-3`` ... that is not there yet, made."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
    raise AssertionError("numbers do not end")


def usual_name(config: Config) -> str:
    """What a run's folder is called if the config does not say: by its data and its task."""
    return f"{_stem(config.data.train or 'data')}-{config.task_name}"


def _stem(reference: str) -> str:
    """A short name for the data, for the run's folder."""
    path = Path(reference.rstrip("/"))
    stem = path.name.split(".")[0]
    return f"{path.parent.name}-{stem}" if stem in ("train", "data") and path.parent.name else stem
