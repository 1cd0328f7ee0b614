"""The file formats: each public function reads one, and its name is the format's name.

Each yields ``(line, row)`` one after another: the number of the line where the row starts (of the row, where a file has no
lines or only one), and the row as a dictionary, or the ``Problem`` that makes it unusable. Reading goes on after a problem, so that
all of them are found. What makes a whole file unusable raises ``DataError``.
"""

from __future__ import annotations

import itertools
import json as json_module
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tunesmith.data import brat as standoff
from tunesmith.data import delimited, json_document
from tunesmith.data import squad as squad_files
from tunesmith.data.files import Lines, Source, binary, seekable
from tunesmith.errors import DataError, Problem, did_you_mean

Items = Iterator[tuple[int, "dict[str, Any] | Problem"]]

_READ_ROWS = 10_000


def csv(source: Source) -> Items:
    """Comma-separated values with a header; semicolon or tab where the header has no comma."""
    return delimited.rows(source, None)


def tsv(source: Source) -> Items:
    """Tab-separated values with a header, quoted as CSV is."""
    return delimited.rows(source, "\t")


def jsonl(source: Source) -> Items:
    """One JSON object a line."""
    with binary(source) as file:
        lines = Lines(file, source)
        for line in lines:
            lines.start_record()
            if problems := lines.take_problems():
                yield lines.number, problems[0]
            elif line.strip():
                yield lines.number, _json_object(line, source.where(lines.number))


def json(source: Source) -> Items:
    """A JSON list of objects, an object that holds one such list, or a SQuAD file; also one object a line."""
    if _is_lines(source):
        yield from jsonl(source)
        return
    found, text = json_document.document(source)
    lists = {(): found} if isinstance(found, list) else _lists_in(found)
    if len(lists) != 1:
        raise DataError(
            "holds no list of rows", where=str(source), hint="write [{...}, {...}], or one object a line (.jsonl)"
        )
    ((path, rows),) = lists.items()
    if squad_files.is_squad(rows):
        yield from squad_files.rows(found, text, source)
        return
    lines = json_document.item_lines(text).get(path, range(1, len(rows) + 1))
    for line, row in zip(lines, rows, strict=True):
        yield line, _json_row(row, text, source.where(line))


def squad(source: Source) -> Items:
    """Question answering as SQuAD writes it: rows of id, title, context, question and answers."""
    found, text = json_document.document(source)
    if not isinstance(found, dict) or not squad_files.is_squad(found.get("data")):
        raise DataError('is not a SQuAD file: no "data" with "paragraphs"', where=str(source))
    yield from squad_files.rows(found, text, source)


def parquet(source: Source) -> Items:
    """Apache Parquet."""
    import pyarrow.parquet
    from pyarrow import ArrowException

    with seekable(source) as file:
        try:
            batches = pyarrow.parquet.ParquetFile(file).iter_batches(_READ_ROWS)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
        except ArrowException as error:
            raise DataError(f"is not Parquet: {error}", where=str(source)) from None


def arrow(source: Source) -> Items:
    """Apache Arrow IPC, file or stream, also named Feather."""
    import pyarrow

    with seekable(source) as file:
        try:
            yield from enumerate((row for batch in _arrow_batches(file) for row in batch.to_pylist()), 1)
        except pyarrow.ArrowException as error:
            raise DataError(f"is not Arrow IPC: {error}", where=str(source)) from None


def xlsx(source: Source) -> Items:
    """The first sheet of an Excel workbook, or the sheet named after ``#``; the first row is the header."""
    with seekable(source) as file:
        rows = _sheet(file, source).iter_rows(values_only=True)
        header = delimited.header([str(cell or "") for cell in next(rows, ())], source, 1)
        for number, cells in enumerate(rows, 2):
            if any(cell is not None for cell in cells):
                yield number, dict(zip(header, cells, strict=False))


def sql(source: Source) -> Items:
    """A table or query of a database: an SQLAlchemy URL, ``#`` and the table's name or the query."""
    try:
        import sqlalchemy
    except ImportError:
        raise DataError("needs the package SQLAlchemy", where=str(source), hint="pip install sqlalchemy") from None
    try:
        engine = sqlalchemy.create_engine(source.path)
        with engine.connect().execution_options(stream_results=True, yield_per=_READ_ROWS) as connection:
            rows = connection.execute(_statement(source, engine)).mappings()
            yield from enumerate((dict(row) for row in rows), 1)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise DataError(f"the database refused: {str(error).splitlines()[0]}", where=str(source)) from None


def conll(source: Source) -> Items:
    """Blocks of ``token tag`` lines (first and last column), one blank line between: rows of tokens and tags."""
    with binary(source) as file:
        lines, columns = Lines(file, source), None
        while block := _block(lines):
            columns = columns or max(2, len(block[0][1]))
            problems = [*lines.take_problems(), *_misshapen(block, columns, source)]
            if problems:
                yield from ((block[0][0], problem) for problem in problems)
            else:
                yield (
                    block[0][0],
                    {"tokens": [cells[0] for _, cells in block], "tags": [cells[-1] for _, cells in block]},
                )


def brat(source: Source) -> Items:
    """A document of brat, an ``.ann`` file with its ``.txt`` beside it: text, entities and relations."""
    found = standoff.document(source)
    yield from ((1, item) for item in (found if isinstance(found, list) else [found]))


def parallel(source: Source) -> Items:
    """Two text files side by side, named ``first,second``: line for line a text (``source``) and what it becomes (``target``)."""
    sides = [replace(source, path=path, name=None) for path in source.path.split(",")]
    with binary(sides[0]) as first, binary(sides[1]) as second:
        files = [Lines(first, sides[0]), Lines(second, sides[1])]
        for number, pair in enumerate(itertools.zip_longest(*files), 1):
            missing = next((side for side, line in zip(sides, pair, strict=True) if line is None), None)
            if missing:
                hint = "both files need the same number of lines, each the translation of the other"
                raise DataError(f"ends before line {number:,}, which the other file has", where=str(missing), hint=hint)
            if problems := [problem for lines in files for problem in lines.take_problems()]:
                yield from ((number, problem) for problem in problems)
            elif any(line.strip() for line in pair):
                texts = (line.strip() or None for line in pair)
                yield number, dict(zip(("source", "target"), texts, strict=True))


def _json_object(line: str, where: str) -> dict[str, Any] | Problem:
    try:
        row = json_document.parse(line)
    except ValueError as error:
        return Problem(str(error), where)
    return _json_row(row, line, where)


def _json_row(row: Any, text: str, where: str) -> dict[str, Any] | Problem:
    """A value of a JSON text as a row."""
    if not isinstance(row, dict):
        return Problem(f"is a {json_document.kind(row)}, not an object", where, 'write {"text": ..., "label": ...}')
    return Problem("holds half a character (a lone surrogate)", where) if _is_torn(text, row) else row


def _is_torn(text: str, row: dict[str, Any]) -> bool:
    """Whether an escape such as ``\\ud83d`` stands without its second half; no encoding can write that."""
    if "\\u" not in text:
        return False
    try:
        json_module.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_lines(source: Source) -> bool:
    """Whether the first line is a whole object and others follow, as in the files of CLUE."""
    with binary(source) as file:
        filled = (line for line in Lines(file, source) if line.strip())
        first, second = next(filled, ""), next(filled, "")
    try:
        return bool(second) and first.lstrip().startswith("{") and isinstance(json_document.parse(first), dict)
    except ValueError:
        return False


def _lists_in(document: Any) -> dict[json_document.Path, list[Any]]:
    values = document.items() if isinstance(document, dict) else ()
    return {
        (name,): value
        for name, value in values
        if isinstance(value, list) and any(isinstance(row, dict) for row in value)
    }


def _arrow_batches(file: Any) -> Iterator[Any]:
    import pyarrow

    try:
        reader = pyarrow.ipc.open_file(file)
    except pyarrow.ArrowInvalid:
        file.seek(0)
        yield from pyarrow.ipc.open_stream(file)
        return
    yield from (reader.get_batch(index) for index in range(reader.num_record_batches))


def _sheet(file: Any, source: Source) -> Any:
    try:
        import openpyxl
    except ImportError:
        raise DataError("needs the package openpyxl", where=str(source), hint="pip install openpyxl") from None
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:
        raise DataError(f"is not an Excel workbook: {error}", where=str(source)) from None
    if source.part and source.part not in book.sheetnames:
        raise DataError(
            f"has no sheet '{source.part}'", where=str(source), hint=did_you_mean(source.part, book.sheetnames)
        )
    return book[source.part] if source.part else book[book.sheetnames[0]]


def _statement(source: Source, engine: Any) -> Any:
    import sqlalchemy

    part = (source.part or "").strip()
    if re.match(r"(?i)(select|with)\s", part):
        return sqlalchemy.text(part)
    tables = sqlalchemy.inspect(engine).get_table_names()
    if not part and len(tables) == 1:
        part = tables[0]
    if part not in tables:
        problem = f"no table '{part}'" if part else f"which table? add #{'TABLE' if not tables else tables[0]}"
        raise DataError(problem, where=str(source), hint=did_you_mean(part, tables))
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(part))


def _block(lines: Lines) -> list[tuple[int, list[str]]]:
    """The next sentence of a CoNLL file: line numbers with their columns; empty at the end of the file."""
    block: list[tuple[int, list[str]]] = []
    for line in lines:
        lines.start_record()
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        comment = not block and line.startswith("# ") and len(cells) != 2
        if not any(cell.strip() for cell in cells):
            if block:
                return block
        elif cells[0] != "-DOCSTART-" and not comment:
            block.append((lines.number, cells))
    return block


def _misshapen(block: list[tuple[int, list[str]]], columns: int, source: Source) -> Iterator[Problem]:
    """What is wrong with lines that have not as many columns as the file's first."""
    for line, cells in block:
        where = source.where(line)
        if len(cells) < 2:
            yield Problem(f"token '{cells[0]}' has no tag", where, "write TOKEN<tab>TAG")
        elif len(cells) != columns:
            yield Problem(f"has {len(cells)} columns, and the file's first line has {columns}", where)
