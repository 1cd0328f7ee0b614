"""JSON as people write it: objects without a name twice, and the line where each item of a list starts."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

from tunesmith.data.files import Source, whole_text
from tunesmith.errors import DataError

_TOKEN = re.compile(r'\n|"(?:[^"\\]|\\.)*+"|[\[\]{}:,]|[^\s\[\]{}:,"]+')

Path = tuple[str, ...]
"""The names that lead from a document to one of its lists; of a list in a list, an empty one."""


def parse(text: str) -> Any:
    """The value that a JSON text holds.

    Raises:
        ValueError: why it is none, in words: it is no JSON, nested too deeply, or an object has a name twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise ValueError(_reason(error)) from None


def document(source: Source) -> tuple[Any, str]:
    """The value of a whole JSON file, and its text.

    Raises:
        DataError: it is none; told with the line.
    """
    text = whole_text(source)
    if not text.strip():
        raise DataError("is empty", where=str(source))
    try:
        return json.loads(text, object_pairs_hook=_object), text
    except json.JSONDecodeError as error:
        hint = "one object a line? name it .jsonl" if error.msg == "Extra data" else None
        raise DataError(_reason(error), where=source.where(error.lineno), hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise DataError(_reason(error), where=str(source)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not JSON: {error.msg} at column {error.colno}"
    return "is not JSON: nested too deeply" if isinstance(error, RecursionError) else str(error)


def item_lines(text: str) -> dict[Path, list[int]]:
    """The line where each item of a document's lists starts, by the names that lead to the list; of one line only, nothing.

    >>> item_lines('{"data": [\\n{"a": [1, 2]},\\n7]}')
    {('data',): [2, 3], ('data', 'a'): [2, 2]}
    """
    found: defaultdict[Path, list[int]] = defaultdict(list)
    if "\n" not in text.strip():
        return found
    line, name, named = 1, "", False
    path: Path = ()
    around: list[tuple[str, Path]] = []  # what is open, with the path outside of it
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in "]}":
            path = around.pop()[1]
        elif token in ":,":
            named = token == ":"
        else:
            in_list = bool(around) and around[-1][0] == "["
            if in_list:
                found[path].append(line)
            elif not named:
                name = token[1:-1]
            if token in "[{":
                around.append((token, path))
                path = (*path, name) if named else (*path, "") if in_list and token == "[" else path
            named = False
    return dict(found)


def kind(value: Any) -> str:
    """What a value is, in words."""
    known = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return known.get(type(value), "null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"holds '{twice}' twice")
    return made
