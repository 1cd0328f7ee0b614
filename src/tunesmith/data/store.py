"""Canonical rows on disk as Arrow: written in batches, opened memory-mapped, so that memory does not grow with the rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith.errors import DataError

BATCH_ROWS = 10_000
BATCH_CHARACTERS = 1 << 22
LINE, SOURCE = "_line", "_source"


def store(rows: Iterable[Mapping[str, Any]], schema: pa.Schema, path: Path, sources: Sequence[str]) -> pa.Table:
    """Write canonical rows to an Arrow file and open it.

    Args:
        rows: one mapping a row, with ``_line`` (from 1) and ``_source`` (index into ``sources``) beside the canonical columns.
        schema: types of the canonical columns.
        path: of the file; it appears only when it is complete.
        sources: names of the files that the rows come from.

    Returns:
        The memory-mapped table, with ``_line`` (int64) and ``_source`` (dictionary of text) after the canonical columns.
    """
    full = pa.schema([*schema, pa.field(LINE, pa.int64()), pa.field(SOURCE, pa.dictionary(pa.int32(), pa.string()))])
    names = pa.array(list(sources), pa.string())
    with writing(path, full) as writer:
        for chunk in _chunks(rows):
            writer.write_batch(_batch(chunk, full, names))
    return open_table(path)


def open_table(path: Path) -> pa.Table:
    """Open an Arrow file memory-mapped; its rows are read from disk when they are touched."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """Write an Arrow file that replaces ``path`` only when it is complete."""
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "wb") as file, pa.ipc.new_file(file, schema) as writer:
            yield writer
        os.replace(beside, path)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", where=str(path)) from None
    finally:
        if beside:
            Path(beside).unlink(missing_ok=True)


def keep(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path | None) -> pa.Table:
    """A table of record batches as they come, in an Arrow file; in memory where there is no path."""
    if path is None:
        return pa.Table.from_batches(batches, schema)
    with writing(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return open_table(path)


def rewrite(table: pa.Table, change: Callable[[pa.RecordBatch], pa.RecordBatch], path: Path) -> pa.Table:
    """A table with every batch changed, written to an Arrow file; the schema stays."""
    with writing(path, table.schema) as writer:
        for batch in table.to_batches():
            writer.write_batch(change(batch))
    return open_table(path)


def batches(table: pa.Table, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """The table piece by piece, with the row numbers of each piece.

    Args:
        table: any Arrow table.
        rows: ascending numbers of the rows wanted; None: all.
    """
    start = 0
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        end = start + len(batch)
        if rows is None:
            yield np.arange(start, end), batch
        elif len(wanted := rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)]):
            yield wanted, batch.take(pa.array(wanted - start))
        start = end


def where(table: pa.Table, row: int) -> str:
    """``file:line`` of a row."""
    return f"{table[SOURCE][row].as_py()}:{table[LINE][row].as_py()}"


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    chunk: list[Mapping[str, Any]] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(chunk) == BATCH_ROWS or characters > BATCH_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _batch(chunk: list[Mapping[str, Any]], schema: pa.Schema, sources: pa.Array) -> pa.RecordBatch:
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in chunk]
        if field.name == SOURCE:
            columns.append(pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), sources))
        else:
            columns.append(pa.array(values, field.type))
    return pa.record_batch(columns, schema=schema)
