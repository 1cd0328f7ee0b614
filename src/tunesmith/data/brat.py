"""Brat's standoff files: a text (``.txt``), and beside it (``.ann``) what is marked in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.files import Lines, Source, binary, whole_text
from tunesmith.errors import DataError, Problem

_ENTITY = re.compile(r"(?P<id>T\S+)\t(?P<type>\S+) (?P<places>[\d ;]+)\t(?P<text>.*)")
_RELATION = re.compile(r"R\S+\t(?P<type>\S+) \S+?:(?P<head>T\S+) \S+?:(?P<tail>T\S+)\s*")
_UNUSED = ("#", "A", "M", "E", "N", "*")


def document(source: Source) -> dict[str, Any] | list[Problem]:
    """The row of one ``.ann`` file: text, entities, relations by the entities' numbers; or all that is wrong with it.

    Events, attributes, notes and links are passed over.

    Raises:
        DataError: one of the two files is missing or cannot be read.
    """
    file = Path(source.path).with_suffix(".txt")
    if not file.exists():
        raise DataError("has no text beside it", where=str(source), hint=f"put {file.name} into the same folder")
    text = whole_text(replace(source, path=str(file), name=None))
    entities: dict[str, dict[str, Any]] = {}
    relations: list[tuple[int, re.Match[str]]] = []
    problems: list[Problem] = []
    for number, line in _lines(source, problems):
        found = _ENTITY.fullmatch(line) or _RELATION.fullmatch(line)
        if found is None:
            problems.append(Problem(f"is no line of brat: {line[:60]!r}", source.where(number)))
        elif "id" not in found.groupdict():
            relations.append((number, found))
        elif problem := _misplaced(found, text):
            problems.append(Problem(problem, source.where(number)))
        else:
            start, end = map(int, found["places"].split())
            entities[found["id"]] = {"start": start, "end": end, "type": found["type"]}
    order = {name: place for place, name in enumerate(entities)}
    for number, found in relations:
        unknown = [found[side] for side in ("head", "tail") if found[side] not in order]
        problems += [Problem(f"there is no entity {name}", source.where(number)) for name in unknown if not problems]
    if problems:
        return problems
    related = [{"head": order[one["head"]], "tail": order[one["tail"]], "type": one["type"]} for _, one in relations]
    return {"text": text, "entities": list(entities.values()), "relations": related}


def _lines(source: Source, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    with binary(source) as file:
        lines = Lines(file, source)
        for line in lines:
            plain = line.rstrip("\r\n")
            if faults := lines.take_problems():
                problems += faults
            elif plain.strip() and not plain.startswith(_UNUSED):
                yield lines.number, plain


def _misplaced(found: re.Match[str], text: str) -> str | None:
    """Why an entity does not stand in the text as it says."""
    name, places = found["id"], re.split(r"[ ;]", found["places"])
    if len(places) != 2 or not all(places):
        return f"{name} is in several pieces, and a span is one"
    start, end = map(int, places)
    if not start < end <= len(text):
        return f"{name} is from {start} to {end}, and the text has {len(text)} characters"
    if text[start:end].split() != found["text"].split():
        return f"{name} is '{found['text']}', and in the text stands {text[start:end]!r}"
    return None
