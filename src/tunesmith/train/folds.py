"""Cross-validation: of each part of the training rows, what a network gives that was trained without it.

Each fold is a training of its own, from the same start, on all training rows but those of the fold; the validation rows
choose its best weights, as they do in the training that follows. Rows are tokenised once for all folds, and a finished
fold is not trained again when a run is resumed.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tunesmith import metrics, report
from tunesmith.data import check
from tunesmith.data.prepare import groups
from tunesmith.data.split import Strata, folds
from tunesmith.errors import Interrupted, UsageError
from tunesmith.metrics import Predictions
from tunesmith.report import Folds, HeldOut
from tunesmith.tasks.base import Scored, Task
from tunesmith.train import loop, state, warm
from tunesmith.train.budget import Budget
from tunesmith.train.job import Job
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

_FOLDER = "folds"
_RESULT = "outputs"


def has_started(work: Path) -> bool:
    """Whether a run left a fold to go on from; ``work`` is its folder for what only training needs."""
    return any((work / _FOLDER).glob(f"*/{_RESULT}")) or any((work / _FOLDER).glob("*/step-*"))


def check_task(task: Task, count: int | None) -> None:
    """Refuse folds of a task whose rows cannot be held out."""
    if count is not None and not task.can_hold_out:
        raise UsageError("a task that writes texts has no folds", where="train.folds", hint="legal here: none")


@dataclass(frozen=True)
class Around:
    """The run that folds are a part of.

    Args:
        folder: of the run.
        work: where what only training needs is kept.
        journal: of the run.
        accelerator: of the run.
        began: ``time.monotonic()`` at its start.
    """

    folder: Path
    work: Path
    journal: Journal
    accelerator: Accelerator
    began: float


def cross_validate(learned: Learner, run: Around) -> Folds | None:
    """Train and score each fold, as ``train.folds`` says, and write ``out_of_fold.jsonl``; None where there are none.

    Args:
        learned: about to train; it is left as it is.
        run: that this is a part of.

    Raises:
        DataError: there are too few rows.
        Interrupted: the user pressed Ctrl-C; what is done is kept.
    """
    count = learned.config.train.folds
    if count is None:
        return None
    fold_of = _assign(learned, count)
    found = _held_out(learned, fold_of, [_fold(learned, fold_of, number, run) for number in range(count)])
    if run.accelerator.is_main_process:
        report.write_out_of_fold(found, run.folder)
    run.accelerator.wait_for_everyone()
    scores = [metrics.score(part.predictions) for part in found if part.split == "train"]
    kept = [name for name in scores[0] if all(name in each for each in scores)]
    return Folds.of({name: tuple(each[name] for each in scores) for name in kept})


@dataclass(frozen=True)
class _Given:
    """Raw outputs of the network of a fold: of the sequences of the rows that it was not shown, and of the validation rows."""

    sequences: np.ndarray
    outputs: list[np.ndarray]
    validation: list[np.ndarray]


def _assign(learned: Learner, count: int) -> np.ndarray:
    """The fold of each training row: in proportion of the labels, rows of one group or text in one fold."""
    rows, task, target = learned.splits.tables["train"], learned.task, learned.target
    strata = learned.splits.labels.splits["train"]
    if target.kind == "regression":
        strata = Strata.of_numbers(task.values(rows))
    numbers = groups(rows, check.digests(rows, task.inputs))
    return folds(strata, numbers, count=count, seed=learned.config.data.seed)


def _fold(learned: Learner, fold_of: np.ndarray, number: int, run: Around) -> _Given:
    """What the network of a fold gives, which is trained unless that was done before."""
    folder = run.work / _FOLDER / str(number + 1)
    hidden = np.flatnonzero(fold_of[learned.training.rows] == number)
    if not (folder / _RESULT).exists():
        rows = int((fold_of == number).sum())
        run.journal.note(f"fold {number + 1} of {learned.config.train.folds}: training without {rows:,} rows")
        try:
            trained = _trained(learned, hidden, folder, run, _budget(learned, number, run))
        except Interrupted as error:
            raise Interrupted(error.headline.message, hint=f"tunesmith resume {run.folder}") from None
        if run.accelerator.is_main_process:
            outputs = trained.engine.sequences(learned.training, hidden)
            validation = trained.engine.sequences(learned.validation)
            state.replace(folder / _RESULT, {"outputs": _stored(outputs), "validation": _stored(validation)})
            for checkpoint in [*folder.glob("step-*"), folder / "best"]:
                shutil.rmtree(checkpoint)
        run.accelerator.wait_for_everyone()
        run.accelerator.free_memory()
    kept = state.read(folder / _RESULT)
    return _Given(hidden, _restored(kept["outputs"]), _restored(kept["validation"]))


def _budget(learned: Learner, number: int, run: Around) -> Budget:
    """The folds and the training after them share the time of the run evenly."""
    limit, count = learned.config.train.max_time, learned.config.train.folds or 0
    return Budget(limit and limit * (number + 1) / (count + 1), run.began, 1.0)


def _trained(learned: Learner, hidden: np.ndarray, folder: Path, run: Around, budget: Budget) -> Learner:
    """The learner with a network of its own, trained without some sequences."""
    folder.mkdir(parents=True, exist_ok=True)
    network, adapter = copy.deepcopy((learned.network, learned.adapter))  # together: an adapter knows its network
    own = replace(learned, network=network, adapter=adapter)
    train, started = learned.config.train, loop.has_started(folder)
    if train.warm_start and getattr(own.network.head, "linear", None) is not None and not started:
        shown = np.setdiff1d(np.arange(len(learned.training)), hidden)
        warm.start_head(own.network, own.training, own.loss, train.warm_start_rows, train.seed, own.machine, shown)
    job = Job(
        network=own.network,
        examples=own.training,
        loss=own.loss,
        divergence=own.divergence,
        evaluate=own.scores,
        metric=own.metric,
        train=train,
        folder=folder,
        journal=run.journal.beside(folder / "log.jsonl"),
        accelerator=run.accelerator,
        visits=lambda epoch: _without(own.visits(epoch), hidden),
        budget=budget,
        adapter=own.adapter,
    )
    loop.fit(job, resume=started)
    return own


def _without(sequences: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    return sequences[~np.isin(sequences, hidden)]


def _held_out(learned: Learner, fold_of: np.ndarray, given: list[_Given]) -> list[HeldOut]:
    """Predictions of each fold's rows and, where scores can be averaged, those of all folds together of the validation rows."""
    outputs: list[Any] = [None] * len(learned.training)
    for one in given:
        for sequence, output in zip(one.sequences.tolist(), one.outputs, strict=True):
            outputs[sequence] = output
    tables = learned.splits.tables
    training = Scored(tables["train"], learned.training, _scores(learned, outputs, "train"), learned.task.inputs)
    validation = [
        Scored(
            tables["validation"], learned.validation, _scores(learned, one.validation, "validation"), training.inputs
        )
        for one in given
    ]
    found = []
    for number, scored in enumerate(validation):
        target = learned.task.tune(scored, learned.target)
        rows = np.flatnonzero(fold_of == number)
        found.append(HeldOut("train", number + 1, rows, learned.task.predictions(training, target).take(rows)))
    if isinstance(found[0].predictions, Predictions):
        mean: Any = np.mean([np.asarray(scored.scores) for scored in validation], axis=0)
        together = replace(validation[0], scores=mean)
        target = learned.task.tune(together, learned.target)
        rows = np.arange(len(tables["validation"]))
        found.append(HeldOut("validation", None, rows, learned.task.predictions(together, target)))
    return found


def _scores(learned: Learner, outputs: list[np.ndarray], split: str) -> Any:
    examples = learned.training if split == "train" else learned.validation
    return learned.task.scores(outputs, examples, learned.target, learned.request)


def _stored(outputs: list[np.ndarray]) -> Any:
    """Outputs as ``state`` takes them: one tensor where all have one shape."""
    if len({output.shape for output in outputs}) == 1:
        return torch.from_numpy(np.stack(outputs))
    return [torch.from_numpy(np.ascontiguousarray(output)) for output in outputs]


def _restored(kept: Any) -> list[np.ndarray]:
    return [output.numpy() for output in kept]
