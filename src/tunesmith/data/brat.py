"""Brat's standoff files: a text (``.txt``), and beside it (``.ann``) what is marked in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.data.files import Lines, Source, binary, whole_text
from tunesmith.errors import DataError, Problem
from tunesmith.text.spans import Span, overlapping

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
    entities: dict[str, Span | None] = {}
    related: list[tuple[int, re.Match[str]]] = []
    wrong: list[tuple[int, Problem]] = []
    for number, line in _lines(source, wrong):
        if found := _RELATION.fullmatch(line):
            related.append((number, found))
        elif found := _ENTITY.fullmatch(line):
            span = _span(found, text, entities)
            entities.setdefault(found["id"], span if isinstance(span, Span) else None)
            wrong += [(number, Problem(span, source.where(number)))] if isinstance(span, str) else []
        else:
            wrong.append((number, Problem(f"is no line of brat: {line[:60]!r}", source.where(number))))
    for number, found in related:
        wrong += [(number, Problem(why, source.where(number))) for why in _unrelated(found, entities)]
    if wrong:
        return [problem for _, problem in sorted(wrong, key=lambda one: one[0])]
    order = {name: place for place, name in enumerate(entities)}
    relations = [{"head": order[one["head"]], "tail": order[one["tail"]], "type": one["type"]} for _, one in related]
    return {"text": text, "entities": [span._asdict() for span in entities.values() if span], "relations": relations}


def _lines(source: Source, wrong: list[tuple[int, Problem]]) -> Iterator[tuple[int, str]]:
    with binary(source) as file:
        lines = Lines(file, source)
        for line in lines:
            plain = line.rstrip("\r\n")
            if faults := lines.take_problems():
                wrong += [(lines.number, fault) for fault in faults]
            elif plain.strip() and not plain.startswith(_UNUSED):
                yield lines.number, plain


def _span(found: re.Match[str], text: str, before: Mapping[str, Span | None]) -> Span | str:
    """The piece of the text that an entity marks, or why it marks none; those before it are given by name."""
    name, places = found["id"], re.split(r"[ ;]", found["places"])
    if name in before:
        return f"{name} was on a line before"
    if len(places) != 2 or not all(places):
        return f"{name} is in several pieces, and a span is one"
    start, end = map(int, places)
    span = Span(start, end, found["type"])
    if not start < end <= len(text):
        return f"{name} is from {start} to {end}, and the text has {len(text)} characters"
    if text[start:end].split() != found["text"].split():
        return f"{name} is '{found['text']}', and in the text stands {text[start:end]!r}"
    other = next((key for key, one in before.items() if one and overlapping([one, span])), None)
    return f"{name} shares characters with {other}, and a character belongs to one span" if other else span


def _unrelated(found: re.Match[str], entities: Mapping[str, Span | None]) -> Iterator[str]:
    """Why a relation is none."""
    head, tail = found["head"], found["tail"]
    yield from (f"there is no entity {name}" for name in dict.fromkeys((head, tail)) if name not in entities)
    if head == tail:
        yield f"relates {head} to itself"
