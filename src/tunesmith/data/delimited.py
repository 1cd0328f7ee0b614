"""Values between delimiters: records that may span lines, broken quotes told by the line where they opened."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any

from tunesmith.data.files import Lines, Source, binary
from tunesmith.errors import DataError, Problem

MAX_FIELD_CHARACTERS = 1 << 26
_DELIMITERS = ",;\t"
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def rows(source: Source, delimiter: str | None) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """The rows of a delimited file with a header, each with its line; see ``formats``.

    Args:
        source: the file.
        delimiter: between fields; None: a comma, or what else the header holds.

    Raises:
        DataError: the file is empty or its header cannot be read.
    """
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    with binary(source) as file:
        lines = Lines(file, source)
        first = next(lines, None)
        if first is None:
            raise DataError("is empty", where=str(source))
        delimiter = delimiter or _sniff(first)
        lines.push_back(1)
        items = _records(lines, delimiter, source)
        start, names = next(items, (1, []))
        if isinstance(names, Problem):
            raise DataError("the header cannot be read", where=str(source), problems=[names])
        columns = header(names, source, start)
        for line, fields in items:
            if isinstance(fields, Problem) or len(fields) == len(columns):
                yield line, fields if isinstance(fields, Problem) else dict(zip(columns, fields, strict=True))
            else:
                yield line, _wrong_count(fields, columns, source.where(line))


def _records(lines: Lines, delimiter: str, source: Source) -> Iterator[tuple[int, list[str] | Problem]]:
    """Records of a delimited file; after broken quotes, reading goes on at the line below the one where they opened."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = lines.start_record()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            opened, reason = _broken_quote(lines.record, delimiter, str(error))
            lines.push_back(len(lines.record) - opened - 1)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield start + opened, Problem(reason, source.where(start + opened), 'inside quotes, write a quote as ""')
            continue
        if lines.problems:
            yield from ((start, problem) for problem in lines.take_problems())
        elif fields:
            yield start, fields


def _broken_quote(record: list[str], delimiter: str, reason: str) -> tuple[int, str]:
    """Index of the record's line in which the broken quote opened, and what is wrong with it."""
    text, position = "".join(record), 0
    while position < len(text):
        start = position
        if text[start] == '"':
            quoted = _QUOTED.match(text, start)
            if quoted is None:
                return text.count("\n", 0, start), "a quote opens here and is never closed"
            position = quoted.end()
            if text[position : position + 1] not in ("", delimiter, "\r", "\n"):
                end = text[max(start, position - 15) : position + 15].replace("\n", " ")
                return text.count("\n", 0, start), f"a quote opens here, and text follows where it closes: …{end}…"
        ends = [at for at in (text.find(delimiter, position), text.find("\n", position)) if at >= 0]
        position = min(ends, default=len(text)) + 1
    return 0, reason


def _sniff(header: str) -> str:
    found = [delimiter for delimiter in _DELIMITERS if delimiter in header]
    return found[0] if len(found) == 1 else ","


def header(names: list[str], source: Source, line: int) -> list[str]:
    """Column names without spaces around them; a nameless column (an index that was saved along) gets its number."""
    columns = [name.strip() or f"column_{number}" for number, name in enumerate(names, 1)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(
            f"two columns are named {', '.join(map(repr, twice))}", where=source.where(line), hint="rename one"
        )
    if not columns:
        raise DataError("has no header", where=source.where(line))
    return columns


def _wrong_count(fields: list[str], header: list[str], where: str) -> Problem:
    fewer = "fewer" if len(fields) < len(header) else "more"
    message = f"{len(fields)} fields, {fewer} than the header's {len(header)} ({', '.join(header)})"
    hint = "put quotes around a text that holds the delimiter" if fewer == "more" else None
    return Problem(message, where, hint)
