"""Measures what the guides to parameters show: on the embedded models, as they come or after a short training."""

from __future__ import annotations

import csv
import dataclasses
import random
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.measured import FILMS, READER, WRITER, Read, Written
from examples import demo

import tunesmith
from tunesmith.explaining import opening
from tunesmith.explaining.found import Found
from tunesmith.explaining.study import Wanted, explain

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"


def measured(asked: Mapping[str, Written | Read]) -> Iterator[tuple[str, Found]]:
    """Look at each parameter, one after the other."""
    writer = opening.open_model(WRITER) if any(isinstance(one, Written) for one in asked.values()) else None
    with tempfile.TemporaryDirectory() as logits:
        for name, one in asked.items():
            if isinstance(one, Read):
                yield name, _read(one)
                continue
            wanted = Wanted(one.parameter, WRITER, one.prompts, tokens=one.tokens, held=one.held, keep=logits)
            yield name, explain(wanted, writer)


def _read(asked: Read) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        learned, looked_at = _divided(asked, Path(folder))
        given = {"model.base": READER, "out": f"{folder}/{READER}"}
        run = tunesmith.train(learned, task=asked.task, quiet=True, **given)
        wanted = Wanted(asked.parameter, str(run.folder), (), str(looked_at), asked.looked_at, values=asked.values)
        return dataclasses.replace(explain(wanted), model=READER)


def _divided(asked: Read, folder: Path) -> tuple[Path, Path]:
    """The rows to learn and those to look at, each in a file."""
    whole = _table(asked.data, folder)
    head, rows = _rows(whole)
    if asked.data == FILMS:  # neighbours may be of one review
        random.Random(0).shuffle(rows)
    files = whole.with_stem("learned"), whole.with_stem("looked-at")
    _write(files[0], head + rows[: asked.learned])
    _write(files[1], head + rows[asked.learned :][: asked.looked_at])
    return files


def _table(data: str, folder: Path) -> Path:
    if data != FILMS:
        return Path(shutil.copy(EXAMPLES / data, folder))
    demo.write_table(folder / "films.csv")
    return folder / "films.csv"


def _rows(file: Path) -> tuple[list[Any], list[Any]]:
    """The header, where there is one, and the rows: cells of a CSV, else lines."""
    with file.open(encoding="utf-8", newline="") as lines:
        if file.suffix != ".csv":
            return [], list(lines)
        head, *rows = csv.reader(lines)
    return [head], rows


def _write(file: Path, rows: list[Any]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows) if file.suffix == ".csv" else out.writelines(rows)
