"""Entities and relations as people write them: lists of mappings, or JSON text that holds them.

    entities    [{"start": 0, "end": 3, "type": "person"}, ...]     characters of a text, or numbers of its tokens
    relations   [{"head": 0, "tail": 1, "type": "works_for"}, ...]  numbers of entities

What is wrong is a ``ValueError`` that says which of them it is, counted from 0 as relations count entities.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tunesmith.spans import Place, Span, in_characters, overlapping


class Relation(NamedTuple):
    """A relation of one entity to another, by their numbers in a list of entities."""

    head: int
    tail: int
    type: str


def read_entities(cell: Any, text: str, tokens: Sequence[Place] | None = None) -> list[Span]:
    """The entities in a cell, in its order, as characters of the text.

    Args:
        cell: list of mappings with ``start``, ``end`` (exclusive) and ``type``.
        text: that they stand in.
        tokens: where its tokens stand; starts and ends are then numbers of tokens.

    Raises:
        ValueError: the cell is no such list, or an entity is not in the text, blank, or overlaps another.

    >>> read_entities([{"start": 1, "end": 3, "type": "person"}], "Mr Jo Doe", [(0, 2), (3, 5), (6, 9)])
    [Span(start=3, end=9, type='person')]
    """
    size, unit = (len(text), "characters") if tokens is None else (len(tokens), "tokens")
    found = []
    for number, entry in enumerate(_mappings(cell)):
        start, end = (_whole(entry, name, number) for name in ("start", "end"))
        if not 0 <= start < end <= size:
            raise ValueError(f"[{number}] is from {start} to {end}, and the text has {size} {unit}")
        found.append(Span(start, end, _type(entry, number)))
    spans = found if tokens is None else in_characters(tokens, found)
    for number, span in enumerate(spans):
        if not text[span.start : span.end].strip():
            raise ValueError(f"[{number}] is blank")
    if both := overlapping(spans):
        first, second = (text[span.start : span.end] for span in both)
        raise ValueError(f"overlap: '{first}' and '{second}'")
    return spans


def read_relations(cell: Any, entities: int) -> list[Relation]:
    """The relations in a cell, each once, in its order.

    Args:
        cell: list of mappings with ``head``, ``tail`` and ``type``.
        entities: how many entities there are.

    Raises:
        ValueError: the cell is no such list, or a relation is not between two of the entities.

    >>> read_relations('[{"head": 0, "tail": 1, "type": "in"}]', 2)
    [Relation(head=0, tail=1, type='in')]
    """
    found = []
    for number, entry in enumerate(_mappings(cell)):
        head, tail = (_whole(entry, name, number) for name in ("head", "tail"))
        for name, place in (("head", head), ("tail", tail)):
            if not 0 <= place < entities:
                raise ValueError(f"[{number}] has {name} {place}, and there are {entities} entities, counted from 0")
        if head == tail:
            raise ValueError(f"[{number}] is of entity {head} to itself")
        found.append(Relation(head, tail, _type(entry, number)))
    return list(dict.fromkeys(found))


def _mappings(cell: Any) -> list[Mapping[str, Any]]:
    """A cell as a list of mappings; text is JSON, and nothing is an empty list where it is written as one."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError('is no JSON list such as [{"type": ...}]') from None
    if cell is None:
        raise ValueError("is missing; write [] where there are none")
    if not isinstance(cell, (list, tuple)):
        raise ValueError(f"is a {type(cell).__name__}, not a list")
    for number, entry in enumerate(cell):
        if not isinstance(entry, Mapping):
            raise ValueError(f"[{number}] is a {type(entry).__name__}, not a mapping")
    return list(cell)


def _whole(entry: Mapping[str, Any], name: str, number: int) -> int:
    value = entry.get(name)
    if value is None:
        raise ValueError(f"[{number}] has no '{name}'")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(f"[{number}] has {name} {value!r}, which is no whole number")
    return int(value)


def _type(entry: Mapping[str, Any], number: int) -> str:
    value = entry.get("type")
    if value is None or not str(value).strip():
        raise ValueError(f"[{number}] has no 'type'")
    return str(value)
