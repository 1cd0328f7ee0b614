"""Labelled rows with what models give for them that were trained without them.

By folds: the networks of a run with ``train.folds``, each fine-tuned on the other folds. By features: the base model as it
was before any training, and on what it gives for each text a head for each fold, fitted to the other folds; this takes one
pass over the rows. A trained model's own features would not do: it has seen the labels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tunesmith import config as configs
from tunesmith import heads, params, plugins, report
from tunesmith.config import Config
from tunesmith.data import check
from tunesmith.data.labels import Labels
from tunesmith.data.prepare import Splits, groups, prepare
from tunesmith.data.split import folds
from tunesmith.errors import DataError, UsageError
from tunesmith.metrics import Predictions
from tunesmith.report import HeldOut
from tunesmith.tasks.base import Scored, Task, shown_texts
from tunesmith.train import learner, warm
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

FOLDS = 5
SPLITS = ("train", "validation")
_KINDS = ("multi-class", "multi-label")
_MICRO_TOKENS = 4096


@dataclass(frozen=True)
class Judged:
    """Rows and what was found of them.

    Args:
        config: of the data.
        task: of the data.
        how: where the probabilities come from, in a sentence.
        columns: canonical name to the user's column.
        tables: canonical rows of each split.
        predictions: of all rows, the splits' one after another, by models that were trained without them.
        features: of each of these rows, by the base model, (rows, F); None: they were not wanted, or are of pairs.
    """

    config: Config
    task: Task
    how: str
    columns: dict[str, str]
    tables: dict[str, pa.Table]
    predictions: Predictions
    features: np.ndarray | None

    @property
    def base(self) -> str:
        """The base model."""
        return self.config.model.base or self.task.default_base


def by_folds(run: Path, config: Config, folder: Path, journal: Journal, *, features: bool = True) -> Judged:
    """The rows of a finished run, as its folds answered them.

    Args:
        run: folder of the run.
        config: of the run.
        folder: where rows and tokens are kept meanwhile.
        journal: told what takes long.
        features: whether features are wanted too, which takes a pass over the rows.

    Raises:
        BundleError: the run is not finished, or its files are damaged.
        UsageError: it has no folds, or its answers are no labels.
        DataError: the data is not what it was then.
    """
    told = report.load(run)
    if not told.folds.count:
        hint = "train with --train.folds 5, or judge by features: --by features"
        raise UsageError("the run has no folds", where=str(run), hint=hint)
    splits = _splits(config, folder)
    parts = {part.split: part for part in report.load_out_of_fold(run, told)}
    _check_kind(told.kind)
    for name in SPLITS:
        _check_same(splits.tables[name], parts[name], _task(config), name)
    predictions = _together([_predictions(parts[name]) for name in SPLITS])
    found = None
    if features:
        learned = _learner(config, splits, folder)
        found = _row_features(learned, _features(learned, journal))
    how = f"{told.folds.count} folds of {run}, each answered by a network trained on the others"
    return _judged(config, splits, how, predictions, found)


def by_features(config: Config, folder: Path, journal: Journal) -> Judged:
    """Labelled data, as heads on the base model's features answer it; arguments as for ``by_folds``.

    Raises:
        UsageError: the task's answers are no labels.
        DataError: the data cannot be used.
    """
    splits = _splits(config, folder)
    assert splits.target is not None
    _check_kind(splits.target.kind)
    learned = _learner(config, splits, folder)
    found = _features(learned, journal)
    count = config.train.folds or FOLDS
    predictions = _cross_fitted(learned, found, count)
    how = f"{count} folds, each answered by a head on the features of {learned.config.model.base}, fitted to the others"
    return _judged(learned.config, splits, how, predictions, _row_features(learned, found))


def _judged(config: Config, splits: Splits, how: str, predictions: Predictions, features: np.ndarray | None) -> Judged:
    tables = {name: splits.tables[name] for name in SPLITS}
    return Judged(config, _task(config), how, dict(splits.columns), tables, predictions, features)


def _task(config: Config) -> Task:
    task: Task = plugins.load("tasks", config.task_name)(config.task)
    return task


def _splits(config: Config, folder: Path) -> Splits:
    splits = prepare(config, _task(config), folder / "data")
    splits.stop_on_errors()
    if not _task(config).strata_are_labels(splits.tables["train"]):
        raise UsageError(f"{config.task_name} has no labels of whole rows that could be doubted", where="task")
    return splits


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise UsageError(f"the doctor looks at labels, and this is {kind}", hint=f"legal: {', '.join(_KINDS)}")


def _check_same(table: pa.Table, part: HeldOut, task: Task, name: str) -> None:
    """The rows must be those that were answered."""
    then = part.predictions
    named: list[Any] = [then.names(target) for target in then.targets]
    labels = [[one] if isinstance(one, str) else sorted(one) for one in named]
    same = shown_texts(table, task.inputs) == list(then.texts)
    if not (same and [sorted(row) for row in task.strata(table)] == labels):
        hint = "train again, or judge the data as it is now: tunesmith doctor DATA"
        raise DataError(f"the {name} rows are not those that the run was trained on", hint=hint)


def _predictions(part: HeldOut) -> Predictions:
    assert isinstance(part.predictions, Predictions)
    return part.predictions


def _together(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of one table after another."""
    first, second = parts
    return replace(first.joined(second), sources=(*first.sources, *second.sources))


def _learner(config: Config, splits: Splits, folder: Path) -> Learner:
    """The base model as it is before training, with the rows encoded; how it would be trained makes no difference."""
    sections = config.model_dump(by_alias=True)
    idle = {"warm_start": False, "compile": False, "micro_tokens": _MICRO_TOKENS, "epochs": 1.0}
    sections["adapter"] = {"name": "full"}
    sections["train"] |= idle
    if sections["model"]["pooling"] == "attention":  # has weights of its own, which nothing has fitted
        sections["model"]["pooling"] = "auto"
    still = params.check(configs.class_for(config.task_name, "full"), sections)
    learned = learner.build(still, splits, folder / "rows", Journal(folder / "learner.jsonl", quiet=True))
    if getattr(learned.network.head, "linear", None) is None:
        hint = "legal here: task.classify_by head"
        raise UsageError("this model has no head that could be fitted to features", hint=hint)
    return learned


def _features(learned: Learner, journal: Journal) -> Tensor:
    """What the base model gives for each sequence of the training rows, then of the validation rows; (sequences, F)."""
    examples = (learned.training, learned.validation)
    journal.note(f"reading {sum(each.row_count for each in examples):,} rows through {learned.config.model.base}")
    found = [
        row for each in examples for row in warm.features(learned.network, each, np.arange(len(each)), learned.machine)
    ]
    return torch.stack(found)


def _rows_of(learned: Learner) -> np.ndarray:
    """The row of each sequence among all rows."""
    return np.concatenate([learned.training.rows, learned.training.row_count + learned.validation.rows])


def _row_features(learned: Learner, found: Tensor) -> np.ndarray | None:
    """Features of each row, of one in windows their mean; None where they are of a comparison of two texts."""
    if getattr(learned.network.head, "pair", False):
        return None
    rows = _rows_of(learned)
    sums = np.zeros((rows.max() + 1, found.shape[1]))
    np.add.at(sums, rows, found.numpy())
    means: np.ndarray = sums / np.bincount(rows)[:, None]
    return means


def _cross_fitted(learned: Learner, found: Tensor, count: int) -> Predictions:
    """Of each row, what a head gives that was fitted to the other folds."""
    targets = torch.cat([each.targets_of(np.arange(len(each))) for each in (learned.training, learned.validation)])
    fold_of = torch.from_numpy(_assign(learned, count)[_rows_of(learned)])
    linear = copy.deepcopy(learned.network.head.linear)
    assert linear is not None
    linear.cpu()
    outputs = torch.zeros(len(found), linear.out_features)
    l2 = None
    for number in range(count):
        shown, hidden = fold_of != number, fold_of == number
        l2 = warm.best_l2(linear, found[shown], targets[shown], learned.loss) if l2 is None else l2
        heads.fit_linear(linear, found[shown], targets[shown], learned.loss, l2=l2)
        with torch.no_grad():
            outputs[hidden] = linear(found[hidden])
    parts = np.split(outputs.numpy(), [len(learned.training)])
    return _together([_answered(learned, name, rows) for name, rows in zip(SPLITS, parts, strict=True)])


def _assign(learned: Learner, count: int) -> np.ndarray:
    """The fold of each training and validation row."""
    task = learned.task
    tables = [learned.splits.tables[name] for name in SPLITS]
    whole = pa.concat_tables([table.select(task.schema().names) for table in tables])
    labels = Labels()
    labels.add("all", whole, task.strata)
    numbers = groups(whole, check.digests(whole, task.inputs))
    return folds(labels.splits["all"], numbers, count=count, seed=learned.config.data.seed)


def _answered(learned: Learner, name: str, outputs: np.ndarray) -> Predictions:
    examples = learned.training if name == "train" else learned.validation
    scores = learned.task.scores(list(outputs), examples, learned.target, learned.request)
    made: Any = learned.task.predictions(
        Scored(learned.splits.tables[name], examples, scores, learned.task.inputs), learned.target
    )
    assert isinstance(made, Predictions)
    return made
