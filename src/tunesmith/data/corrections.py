"""Corrections: a file that names rows of the data by file, line and text, and says what is to become of each.

    file,line,hash,split,action,label,...
    reviews.csv,17,t-3b4c...,train,relabel,positive
    reviews.csv,40,t-91aa...,train,drop,

The doctor writes such a file and people fill it in. It is applied after the rows are divided, so that corrected data is
divided as it was before, and a row is corrected in the split that it is named for, and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tunesmith.data import read, store
from tunesmith.data.finding import Finding
from tunesmith.errors import DataError, Problem, UsageError, did_you_mean

if TYPE_CHECKING:
    from tunesmith.data.prepare import Sides
    from tunesmith.tasks.base import Task

ACTIONS = ("keep", "relabel", "drop")
NEEDED = ("file", "line", "hash")

_SPLITS = ("train", "validation", "test")
_HASH_DIGITS = 16


@dataclass(frozen=True)
class Correction:
    """What is to become of one row.

    Args:
        where: ``file:line`` of the corrections.
        name: file of the row, as it was called then.
        line: of the row in it.
        hash: of its texts.
        split: that it was in.
        action: one of ``ACTIONS``.
        cell: the label as it was written; None where there is none.
    """

    where: str
    name: str
    line: int
    hash: str
    split: str
    action: str
    cell: Any


@dataclass(frozen=True)
class Known:
    """What labels there are: their names, what kind of target they make, and what stands between several in a cell."""

    names: Sequence[str]
    kind: str
    separator: str | None

    @property
    def many(self) -> bool:
        """Whether a row may have any number of labels."""
        return self.kind == "multi-label"


def text_hash(texts: Sequence[Any]) -> str:
    """What a row's texts are known by; it begins with a letter, so that no spreadsheet takes it for a number.

    >>> text_hash(["a fine film", None])
    't-6b0e87495d4c3943'
    """
    packed = json.dumps(list(texts), ensure_ascii=True).encode()
    return f"t-{hashlib.sha256(packed).hexdigest()[:_HASH_DIGITS]}"


def texts_of(table: pa.Table, inputs: Sequence[str]) -> list[tuple[Any, ...]]:
    """The texts of each row that its hash is made of."""
    columns = [table[name].to_pylist() for name in inputs if name in table.column_names]
    return list(zip(*columns, strict=True))


def correct(
    reference: str,
    task: Task,
    tables: Mapping[str, pa.Table],
    sides: Sides,
    parts: Mapping[str, pa.Table],
    known: Known,
    folder: Path,
) -> tuple[Sides, dict[str, pa.Table], list[Finding]]:
    """Apply a file of corrections.

    Args:
        reference: the file.
        task: of the rows.
        tables: all usable rows, by the name of their files' split.
        sides: which of them are in which split.
        parts: the rows of each split.
        known: what labels there are.
        folder: where corrected rows are kept as Arrow files.

    Returns:
        Sides and rows without those that were dropped, and what was done.

    Raises:
        UsageError: the task has no labels to correct.
        DataError: a correction cannot be applied; all such are listed.
    """
    if not task.strata_are_labels(tables["train"]) or known.kind == "regression":
        raise UsageError("this task has no labels to correct", where="data.corrections", hint="legal here: none")
    problems: list[Problem] = []
    corrections = list(_read(reference, problems))
    places = _located(corrections, tables, problems)
    changes = _changes(corrections, places, tables, task.inputs, known, problems)
    if problems:
        raise DataError("the corrections cannot be applied", problems=sorted(problems, key=_line_of))
    return _applied(reference, changes, sides, parts, folder)


@dataclass(frozen=True)
class _Change:
    """A correction of a row that was found: ``labels`` are its new ones, None: it is dropped or kept."""

    correction: Correction
    table: str
    row: int
    labels: tuple[str, ...] | None


def _read(reference: str, problems: list[Problem]) -> Iterator[Correction]:
    """The corrections of a file, of any format that data may have."""
    sources = next(iter(read.find(reference, split="corrections").values()))
    header = list(read.header(read.sample(sources)))
    if missing := [name for name in NEEDED if name not in header]:
        told = [Problem(f"there is no column '{name}'", None, did_you_mean(name, header)) for name in missing]
        raise DataError("these are no corrections", where=reference, problems=told)
    for source, number, item in read.read(sources):
        where = source.where(number)
        if isinstance(item, Problem):
            problems.append(item)
            continue
        values = {name: _plain(item.get(name)) for name in (*NEEDED, "split", "action")}
        action = values["action"] or ("keep" if _is_blank(item.get("label")) else "relabel")
        split = values["split"] or "train"
        bad = [
            Problem(f"unknown {name} '{value}'", where, did_you_mean(value, legal))
            for name, value, legal in (("action", action, ACTIONS), ("split", split, _SPLITS))
            if value not in legal
        ]
        if not values["line"].isdecimal():
            bad.append(Problem(f"line is no number: {values['line']!r}", where))
        problems += bad
        if not bad:
            cell = None if _is_blank(item.get("label")) else item["label"]
            yield Correction(where, values["file"], int(values["line"]), values["hash"], split, action, cell)


def _plain(value: Any) -> str:
    """A cell as text; spreadsheets give whole numbers as 17.0."""
    return (
        "" if value is None else str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
    )


def _is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _located(
    corrections: Sequence[Correction], tables: Mapping[str, pa.Table], problems: list[Problem]
) -> dict[Correction, tuple[str, int]]:
    """The table and number of each correction's row."""
    wanted = {one.line for one in corrections}
    rows: dict[tuple[str, int], tuple[str, int]] = {}
    files: dict[str, None] = {}
    for name, table in tables.items():
        for numbers, batch in store.batches(table):
            named = zip(numbers.tolist(), batch[store.SOURCE].to_pylist(), batch[store.LINE].to_pylist(), strict=True)
            for number, file, line in named:
                files.setdefault(file)
                if line in wanted:
                    rows.setdefault((file, line), (name, number))
    found: dict[Correction, tuple[str, int]] = {}
    for one in corrections:
        file = _same_file(one.name, list(files))
        if file is None:
            problems.append(Problem(f"no file '{one.name}' is used", one.where, did_you_mean(one.name, list(files))))
        elif (file, one.line) not in rows:
            problems.append(Problem(f"{file} has no row in line {one.line} that is used", one.where))
        else:
            found[one] = rows[file, one.line]
    return found


def _same_file(name: str, files: Sequence[str]) -> str | None:
    """The file that is called so, or the only one that would be called so from elsewhere."""
    if name in files:
        return name
    alike = [file for file in files if PurePath(file).name == PurePath(name).name]
    return alike[0] if len(alike) == 1 else None


def _changes(
    corrections: Sequence[Correction],
    places: Mapping[Correction, tuple[str, int]],
    tables: Mapping[str, pa.Table],
    inputs: Sequence[str],
    known: Known,
    problems: list[Problem],
) -> list[_Change]:
    """Corrections of rows that are as they were, each row's once."""
    found: list[_Change] = []
    earlier: dict[tuple[str, int], Correction] = {}
    for one in corrections:
        if one not in places:
            continue
        place = places[one]
        if place in earlier:
            problems.append(Problem(f"corrects the row of {earlier[place].where} once more", one.where))
            continue
        earlier[place] = one
        [texts] = texts_of(tables[place[0]].slice(place[1], 1), inputs)
        if text_hash(texts) != one.hash:
            message = f"the text in {one.name}:{one.line} is another one than was looked at"
            problems.append(Problem(message, one.where, "look at the data anew: tunesmith doctor"))
            continue
        labels, why = _labels(one, known)
        if why:
            problems.append(why)
        else:
            found.append(_Change(one, *place, labels))
    return found


def _labels(one: Correction, known: Known) -> tuple[tuple[str, ...] | None, Problem | None]:
    """The new labels, or what is wrong with them."""
    from tunesmith.tasks.base import RowError

    if one.action != "relabel":
        said = f"says {one.action} and names a label"
        return None, None if one.cell is None else Problem(said, one.where, "write relabel, or leave the label empty")
    if one.cell is None and not known.many:
        return None, Problem("says relabel and names no label", one.where, "write the label, or keep or drop")
    try:
        labels = _parsed(one.cell, known)
    except RowError as error:
        return None, Problem(f"{error.column} {error}", one.where)
    for label in labels:
        if label not in known.names:
            return None, Problem(f"unknown label '{label}'", one.where, did_you_mean(label, known.names))
    return labels, None


def _parsed(cell: Any, known: Known) -> tuple[str, ...]:
    """A cell as label names, read as a cell of the data is; several may stand there as a JSON list."""
    from tunesmith.data import label_names
    from tunesmith.tasks.base import RowError

    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError:
            raise RowError("label", "begins like a list and is no JSON") from None
    if cell is None:
        return ()
    names = tuple(label_names.names_of(cell, known.separator if isinstance(cell, str) else None))
    if len(names) != 1 and not known.many:
        raise RowError("label", f"holds {len(names)} labels, and every row has one")
    return names


def _applied(
    reference: str, changes: Sequence[_Change], sides: Sides, parts: Mapping[str, pa.Table], folder: Path
) -> tuple[Sides, dict[str, pa.Table], list[Finding]]:
    """Each split with the corrections that are meant for it."""
    found_sides, found_parts, findings, applied = dict(sides), dict(parts), [], 0
    for side, (name, numbers) in sides.items():
        mine = [one for one in changes if one.table == name and one.correction.split == side]
        place = dict(zip(numbers.tolist(), range(len(numbers)), strict=True))
        here = {place[one.row]: one for one in mine if one.row in place}
        applied += len(here)
        new = {row: list(one.labels) for row, one in here.items() if one.labels is not None}
        gone = [row for row, one in here.items() if one.correction.action == "drop"]
        if new or gone:
            kept = np.setdiff1d(np.arange(len(numbers)), gone)
            found_sides[side] = (name, numbers[kept])
            found_parts[side] = _written(parts[side], new, kept, folder / f"corrected-{side}.arrow")
            findings.append(_told(reference, side, len(new), len(gone)))
    if rest := len(changes) - applied:
        message = f"{reference}: {rest:,} corrections were not applied, because their rows are not in the split named"
        hint = "the rows were divided, or limited, otherwise; write the split that they are in now, if that is meant"
        findings.append(Finding("warning", "corrections_elsewhere", message, rest, hint=hint))
    return found_sides, found_parts, findings


def _told(reference: str, side: str, relabelled: int, dropped: int) -> Finding:
    message = f"{reference}: {relabelled:,} {side} rows got other labels, {dropped:,} were left out"
    hint = "scores are of the corrected rows" if side == "test" else None
    return Finding("warning" if side == "test" else "note", "corrected", message, relabelled + dropped, hint=hint)


def _written(table: pa.Table, new: Mapping[int, list[str]], kept: np.ndarray, path: Path) -> pa.Table:
    """The rows kept, with new labels where there are some."""
    place = table.schema.get_field_index("label")
    field = table.schema.field(place)
    with store.writing(path, table.schema) as writer:
        for numbers, batch in store.batches(table, kept):
            cells = batch["label"].to_pylist()
            for at, number in enumerate(numbers.tolist()):
                if number in new:
                    cells[at] = new[number] if pa.types.is_list(field.type) else new[number][0]
            writer.write_batch(batch.set_column(place, field, pa.array(cells, field.type)))
    return store.open_table(path)


def _line_of(problem: Problem) -> tuple[str, int]:
    file, _, line = (problem.where or "").rpartition(":")
    return file, int(line) if line.isdecimal() else 0
