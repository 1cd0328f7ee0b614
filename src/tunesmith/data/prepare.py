"""From a config to the rows of each split: read, divided and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tunesmith.data import check, columns, corrections, read, store
from tunesmith.data.files import Source
from tunesmith.data.finding import BadRows, Finding, by_severity, stop_on_errors
from tunesmith.data.labels import Labels, almost_numbers, label_findings, merge, number_findings, unseen, variants
from tunesmith.data.split import Strata, sample, split
from tunesmith.errors import DataError, Problem, UsageError

if TYPE_CHECKING:
    from tunesmith.config import Config, Data
    from tunesmith.tasks.base import Target, Task

_UNKNOWN = "unknown"

Files = Mapping[str, tuple[Source, ...]]
Sides = dict[str, tuple[str, np.ndarray]]
"""Each split's rows: the name of the table that holds them, and their ascending numbers in it."""


@dataclass(frozen=True)
class Splits:
    """The rows to train on, to choose by and to report on, with all that was found about them.

    Args:
        tables: canonical rows of ``train``, ``validation`` and ``test`` (where there is one), memory-mapped.
        target: what there is to predict; None where errors among the findings keep it from being told.
        columns: canonical name to the user's column.
        labels: of each row of each split.
        findings: of all checks but those of tokens, errors first.
    """

    tables: Mapping[str, pa.Table]
    target: Target | None
    columns: Mapping[str, str]
    labels: Labels
    findings: tuple[Finding, ...]

    def stop_on_errors(self) -> None:
        """Raise one ``DataError`` that tells all errors found, if there are any."""
        stop_on_errors(self.findings)


def prepare(config: Config, task: Task, folder: Path) -> Splits:
    """Read, divide and check the data of a run.

    Args:
        config: of the run.
        task: turns the user's rows into canonical ones.
        folder: where the rows are kept as Arrow files.

    Raises:
        DataError: the data cannot be read, or no row of a split can be used. Faults of single rows and labels are findings.
        UsageError: the config does not say what to train on, or leaves nothing to train on.
    """
    whole = _read(config, task, folder)
    sides = _divide(config.data, whole)
    tables = {side: _taken(whole.tables[name], rows, folder / f"{side}.arrow") for side, (name, rows) in sides.items()}
    labels = whole.labels.divided(sides)
    done: list[Finding] = []
    if config.data.corrections:
        known = corrections.Known(whole.labels.names, whole.kind, config.data.label_separator)
        sides, tables, done = corrections.correct(
            config.data.corrections, task, whole.tables, sides, tables, known, folder
        )
        labels = _number(task, tables)
    return _checked(config.data, task, replace(whole, findings=whole.findings + done), sides, tables, labels, folder)


def locate(data: Data) -> dict[str, tuple[Source, ...]]:
    """The files of each split that the config names, or that a folder holds.

    Raises:
        UsageError: there is nothing to train on.
        DataError: files are missing.
    """
    if data.train is None:
        raise UsageError("which data?", hint="name a file, or a folder with train, validation and test files")
    options: dict[str, Any] = {"encoding": data.encoding, "query": data.query}
    files = read.find(data.train, split="train", **options)
    if "train" not in files:
        raise DataError("has no train file", where=data.train, hint=f"found only {', '.join(files)}")
    for name in ("validation", "test"):
        if reference := getattr(data, name):
            found = read.find(reference, split=name, **options)
            files[name] = found[name] if name in found else next(iter(found.values()))
    return files


def map_columns(config: Config, sources: Sequence[Source], required: Sequence[Sequence[str]]) -> dict[str, str]:
    """Which of the files' columns is which canonical one; see ``columns.map_columns``.

    Args:
        config: says which the user named.
        sources: the files.
        required: sets of columns of which one must be found whole.
    """
    header = read.header(read.sample(sources))
    return columns.map_columns(header, dict(config.columns), required, where=str(sources[0])) if header else {}


@dataclass(frozen=True)
class _Whole:
    """All usable rows of the user's files, before they are divided."""

    tables: dict[str, pa.Table]
    columns: dict[str, str]
    labels: Labels
    strata: Strata
    kind: str
    digests: dict[str, np.ndarray]
    findings: list[Finding]


def _read(config: Config, task: Task, folder: Path) -> _Whole:
    bad = BadRows(drop=config.data.bad_rows == "drop")
    tables, mappings = {}, {}
    for name, sources in locate(config.data).items():
        mappings[name] = map_columns(config, sources, task.required)
        tables[name] = read_rows(config, task, sources, mappings[name], bad, folder / f"read-{name}.arrow")
    if empty := [name for name, table in tables.items() if not len(table)]:
        stop_on_errors(replace(finding, severity="error") for finding in bad.findings())
        raise DataError(f"no {empty[0]} row can be used")
    labels = _number(task, tables)
    labelled = task.strata_are_labels(tables["train"])
    if config.data.merge_labels and not labelled:
        raise UsageError(
            f"{config.task_name} has no labels to merge", where="data.merge_labels", hint="legal here: false"
        )
    if config.data.merge_labels and (renamed := variants(labels)):
        tables = {name: merge(table, renamed, folder / f"merged-{name}.arrow") for name, table in tables.items()}
        labels = _number(task, tables)
    findings = bad.findings()
    if labelled:
        findings += almost_numbers(labels, tables, dict(task.options).get("kind", "multi-class"))
    unclear = any(finding.code == "not_a_number" for finding in findings)
    target = None if unclear else task.learn(tables["train"])
    strata = labels.splits["train"] if target else Strata.one_each(np.zeros(len(tables["train"]), np.int64))
    if target is not None and target.kind == "regression":
        strata = Strata.of_numbers(_values(task, tables["train"]))
    digests = {name: check.digests(table, task.inputs) for name, table in tables.items()}
    return _Whole(tables, mappings["train"], labels, strata, target.kind if target else _UNKNOWN, digests, findings)


def read_rows(
    config: Config, task: Task, sources: Sequence[Source], mapping: Mapping[str, str], bad: BadRows, path: Path
) -> pa.Table:
    """Write the usable rows of some files as Arrow; the others go to ``bad``."""
    from tunesmith.tasks.base import RowError

    number = {source: index for index, source in enumerate(sources)}

    def rows() -> Iterator[dict[str, Any]]:
        for source, line, item in read.read(sources):
            if isinstance(item, Problem):
                bad.unreadable(item)
                continue
            canonical = {role: item.get(name) for role, name in mapping.items()}
            try:
                row = task.read_row(canonical, label_separator=config.data.label_separator)
            except RowError as error:
                where = source.where(line)
                bad.unfit(error.column, error.message, f"{where}: {error.detail}" if error.detail else where)
            else:
                yield {**row, store.LINE: line, store.SOURCE: number[source]}

    return store.store(rows(), task.schema(), path, [str(source) for source in sources])


def _number(task: Task, tables: Mapping[str, pa.Table]) -> Labels:
    labels = Labels()
    for name, table in tables.items():
        labels.add(name, table, task.strata)
    return labels


def _values(task: Task, table: pa.Table) -> np.ndarray:
    parts = [task.values(pa.Table.from_batches([batch])) for _, batch in store.batches(table)]
    return np.concatenate(parts).astype(np.float64)


def _divide(data: Data, whole: _Whole) -> Sides:
    """Which rows train, choose and test: as the files say, the missing ones split off the training rows."""
    given: Sides = {name: (name, np.arange(len(table))) for name, table in whole.tables.items() if name != "train"}
    rows = np.arange(len(whole.strata))
    if data.leaks == "drop":
        for name in given:
            rows = rows[~check.leaked(whole.digests["train"][rows], whole.digests[name])]
    if not len(rows):
        raise DataError("every training row is also in validation or test", hint="keep them with --data.leaks keep")
    if data.limit is not None:
        rows = rows[sample(whole.strata.take(rows), data.limit, data.seed)]
    shares = {
        "validation_share": 0.0 if "validation" in given else data.validation_share,
        "test_share": 0.0 if "test" in given else data.test_share,
    }
    numbers = groups(whole.tables["train"], whole.digests["train"])
    found = split(whole.strata.take(rows), numbers[rows], **shares, seed=data.seed)
    parts = {"train": found.train, "validation": found.validation, "test": found.test}
    divided: Sides = {name: ("train", rows[part]) for name, part in parts.items() if len(part)}
    return {name: (divided | given)[name] for name in parts if name in divided | given}


def groups(rows: pa.Table, digests: np.ndarray) -> np.ndarray:
    """A number for each row: that of its group, or where it has none that of its text, of which there is a digest."""
    numbers: dict[str | int, int] = {}
    cells = (cell for _, batch in store.batches(rows) for cell in batch["group"].to_pylist())
    named = zip(cells, digests.tolist(), strict=True)
    return np.fromiter(
        (numbers.setdefault(digest if cell is None else cell, len(numbers)) for cell, digest in named), np.int64
    )


def _taken(table: pa.Table, rows: np.ndarray, path: Path) -> pa.Table:
    """Some rows of a table as an Arrow file of their own."""
    if len(rows) == len(table):
        return table
    with store.writing(path, table.schema) as writer:
        for _, batch in store.batches(table, rows):
            writer.write_batch(batch)
    return store.open_table(path)


def _checked(
    data: Data,
    task: Task,
    whole: _Whole,
    sides: Sides,
    tables: dict[str, pa.Table],
    labels: Labels,
    folder: Path,
) -> Splits:
    """Learn the target, and gather all findings."""
    digests = {side: whole.digests[name][rows] for side, (name, rows) in sides.items()}
    findings = list(whole.findings)
    labelled = task.strata_are_labels(tables["train"]) and whole.kind != "regression"
    for side, table in tables.items():
        findings += check.text_findings(side, table)
        findings += check.repeat_findings(side, table, digests[side], labels.splits[side] if labelled else None)
    findings += check.leak_findings(tables, digests)
    if data.leaks == "drop":
        findings += _dropped_leaks(whole, sides)
    if labelled and whole.kind != _UNKNOWN:
        findings += label_findings(labels, tables, dropped=data.bad_rows == "drop")
        if data.bad_rows == "drop":
            tables, labels = _without_unseen(tables, labels, folder)
    target = None if whole.kind == _UNKNOWN else task.learn(tables["train"])
    if target is not None and target.kind == "regression":
        findings += number_findings(_values(task, tables["train"]), tables["train"])
    if target is not None:
        findings += task.findings(tables["train"], target)
        findings += (found for side, table in tables.items() for found in task.split_findings(side, table, target))
    return Splits(tables, target, whole.columns, labels, tuple(by_severity(findings)))


def _dropped_leaks(whole: _Whole, sides: Sides) -> Iterator[Finding]:
    others = [whole.digests[name] for name in whole.tables if name != "train"]
    lost = check.leaked(whole.digests["train"], np.concatenate(others)) if others else np.zeros(0, bool)
    if lost.any():
        message = f"{int(lost.sum()):,} training rows were left out: their text is also in validation or test"
        yield Finding("note", "leak_dropped", message, int(lost.sum()))


def _without_unseen(tables: dict[str, pa.Table], labels: Labels, folder: Path) -> tuple[dict[str, pa.Table], Labels]:
    """Leave out the rows of validation and test that have a label which no training row has."""
    kept: Sides = {name: (name, np.flatnonzero(~unseen(labels, name))) for name in tables}
    found = {name: _taken(tables[name], rows, folder / f"{name}-known.arrow") for name, (_, rows) in kept.items()}
    return found, labels.divided(kept)
