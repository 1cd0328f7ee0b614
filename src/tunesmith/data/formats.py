"""The file formats: each public function reads one, and its name is the format's name.

Each yields ``(line, row)`` one after another: the number of the line where the row starts (of the row, where a format has
no lines), and the row as a dictionary, or the ``Problem`` that makes it unusable. Reading goes on after a problem, so that
all of them are found. What makes a whole file unusable raises ``DataError``.
"""

from __future__ import annotations

import itertools
import json as json_module
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tunesmith.data import brat as standoff
from tunesmith.data import delimited
from tunesmith.data.files import Lines, Source, binary, seekable, whole_text
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
                yield lines.number, _json_object(line, source, lines.number)


def json(source: Source) -> Items:
    """A JSON list of objects, an object that holds one such list, or a SQuAD file."""
    document = _json_document(source)
    lists = [document] if isinstance(document, list) else _lists_in(document)
    if len(lists) != 1:
        raise DataError(
            "holds no list of rows", where=str(source), hint="write [{...}, {...}], or one object a line (.jsonl)"
        )
    if _is_squad(lists[0]):
        yield from squad(source)
        return
    for number, row in enumerate(lists[0], 1):
        yield (
            number,
            row if isinstance(row, dict) else Problem(f"is a {_kind(row)}, not an object", source.where(number)),
        )


def squad(source: Source) -> Items:
    """Question answering as SQuAD writes it: rows of id, title, context, question and answers."""
    document = _json_document(source)
    if not isinstance(document, dict) or not _is_squad(document.get("data")):
        raise DataError('is not a SQuAD file: no "data" with "paragraphs"', where=str(source))
    number = 0
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph.get("qas", ()):
                number += 1
                yield number, _squad_row(article, paragraph, question)


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
                yield number, problems[0]
            elif any(line.strip() for line in pair):
                texts = (line.strip() or None for line in pair)
                yield number, dict(zip(("source", "target"), texts, strict=True))


def _json_object(line: str, source: Source, number: int) -> dict[str, Any] | Problem:
    where = source.where(number)
    try:
        row = json_module.loads(line)
    except (json_module.JSONDecodeError, RecursionError) as error:
        return Problem(f"is not JSON: {_json_reason(error)}", where)
    if not isinstance(row, dict):
        return Problem(f"is a {_kind(row)}, not an object", where, 'write {"text": ..., "label": ...}')
    return Problem("holds half a character (a lone surrogate)", where) if _is_torn(line, row) else row


def _json_reason(error: Exception) -> str:
    if isinstance(error, json_module.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply"


def _is_torn(line: str, row: dict[str, Any]) -> bool:
    """Whether an escape such as ``\\ud83d`` stands without its second half; no encoding can write that."""
    if "\\u" not in line:
        return False
    try:
        json_module.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _json_document(source: Source) -> Any:
    text = whole_text(source)
    if not text.strip():
        raise DataError("is empty", where=str(source))
    try:
        return json_module.loads(text)
    except json_module.JSONDecodeError as error:
        hint = "one object a line? name it .jsonl" if error.msg == "Extra data" else None
        raise DataError(f"is not JSON: {_json_reason(error)}", where=source.where(error.lineno), hint=hint) from None
    except RecursionError as error:
        raise DataError(f"is not JSON: {_json_reason(error)}", where=str(source)) from None


def _lists_in(document: Any) -> list[list[Any]]:
    values: Iterable[Any] = document.values() if isinstance(document, dict) else ()
    return [value for value in values if isinstance(value, list) and any(isinstance(row, dict) for row in value)]


def _is_squad(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and "paragraphs" in row for row in rows)


def _squad_row(article: dict[str, Any], paragraph: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    answers = question.get("answers") or []
    return {
        "id": question.get("id"),
        "title": article.get("title"),
        "context": paragraph.get("context"),
        "question": question.get("question"),
        "answers": {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")},
    }


def _kind(value: Any) -> str:
    return {list: "list", str: "text", bool: "boolean", int: "number", float: "number"}.get(type(value), "null")


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
