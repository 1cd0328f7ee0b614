"""Labelled rows for a model that is already trained: read as its training rows were, with labels that it knows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunesmith import config as configs
from tunesmith import plugins
from tunesmith.config import Config
from tunesmith.data import read, store
from tunesmith.data.files import Source
from tunesmith.data.finding import MOST_EXAMPLES, BadRows, stop_on_errors
from tunesmith.data.prepare import map_columns, read_rows
from tunesmith.errors import DataError, Problem, UsageError, did_you_mean
from tunesmith.tasks.base import Target, Task


def read_labelled(reference: str, config: Config, target: Target, folder: Path) -> pa.Table:
    """Canonical rows of a file, or of the test split of a folder.

    Args:
        reference: as ``data.test`` takes it.
        config: of the bundle; its columns are looked for, and guessed where the file has other names.
        target: of the bundle.
        folder: where the rows are kept as Arrow files.

    Raises:
        DataError: rows cannot be used, or have labels that the model does not know; all are listed.
    """
    found = read.find(reference, split="test", encoding=config.data.encoding)
    sources = found["test"] if "test" in found else next(iter(found.values()))
    header = read.header(read.sample(sources))
    trained_on = dict(config.columns)
    kept = {role: name if name in header else None for role, name in trained_on.items()}
    config = configs.fill(config, columns=kept)
    task: Task = plugins.load("tasks", config.task_name)(config.task)
    bad = BadRows(drop=config.data.bad_rows == "drop")
    known = {role for role, name in trained_on.items() if name is not None}
    alternative = next((roles for roles in task.required if known.issuperset(roles)), task.required[0])
    needed = [role for role in trained_on if role in alternative or (role in task.inputs and role in known)]
    mapping = map_columns(config, sources, task.required if task.any_input_will_do else [needed])
    rows = read_rows(config, task, sources, mapping, bad, folder / "labelled.arrow")
    stop_on_errors(bad.findings())
    _check_labels(rows, task, target)
    return rows


def read_inputs(
    reference: str, columns: Iterable[str], added: Sequence[str] = (), *, any_will_do: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows of a file just as they are, to be answered.

    Args:
        reference: as ``data.train`` takes it.
        columns: those that must be there.
        added: those that the answers will add, and so must not be there.
        any_will_do: whether one of the columns is enough.

    Raises:
        UsageError: a column is not there, or would be written over.
        DataError: the file cannot be read, or a row of it; the place is named.
    """
    sources = next(iter(read.find(reference, split="input").values()))
    header, wanted = list(read.header(read.sample(sources))), list(columns)
    missing = [name for name in wanted if name not in header]
    if missing and not (any_will_do and len(missing) < len(wanted)):
        problems = [Problem(f"there is no column '{name}'", None, did_you_mean(name, header)) for name in missing]
        raise UsageError("the rows are not as the model was trained on", where=reference, problems=problems)
    if taken := [name for name in added if name in header]:
        hint = "rename it in the file: the answers are written under that name"
        raise UsageError(f"there is a column '{taken[0]}' already", where=reference, hint=hint)
    return _rows(sources)


def _rows(sources: Sequence[Source]) -> Iterator[dict[str, Any]]:
    for _, _, item in read.read(sources):
        if isinstance(item, Problem):
            raise DataError(item.message, where=item.where, hint=item.hint)
        yield item


def _check_labels(rows: pa.Table, task: Task, target: Target) -> None:
    if not task.strata_are_labels or target.kind == "regression":
        return
    known = set(target.labels)
    unknown = ((row, label) for row, labels in enumerate(task.strata(rows)) for label in labels if label not in known)
    problems = [
        Problem(f"unknown label '{label}'", store.where(rows, row), did_you_mean(label, target.labels))
        for row, label in itertools.islice(unknown, MOST_EXAMPLES)
    ]
    if problems:
        raise DataError("the model does not know all labels of the data", problems=problems)
