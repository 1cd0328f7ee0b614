"""Canonical rows of relation extraction: read from a user's row, and what they hold.

    a marked pair   ``text`` with the markers of ``marks``, what it marks in ``e1`` and ``e2``, and a ``label``
    triples         ``text``, its ``tokens`` where they were given, ``entities`` in characters, and ``relations``:
                    [{"head": 0, "tail": 1, "type": "works_for"}, ...], numbers of entities, counted from 0

What the other form has is null.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tunesmith.data import store
from tunesmith.errors import DataError, Problem, did_you_mean
from tunesmith.text import annotated, marks
from tunesmith.text import spans as places_of
from tunesmith.text.cells import RowError, text_of
from tunesmith.text.marks import Marked
from tunesmith.text.spans import Span
from tunesmith.text.token_words import Numbers
from tunesmith.text.triples import Triple

_MOST_SHOWN = 20
_MENTIONS = ("e1", "e2")


class Relation(NamedTuple):
    """A relation of one entity to another, by their numbers in a list of entities."""

    head: int
    tail: int
    type: str


class Truth(NamedTuple):
    """What a text holds: entities in characters, and relations between them."""

    entities: Sequence[Span]
    relations: Sequence[Relation]

    def triples(self) -> set[Triple]:
        """The relations in full."""
        return {(self.entities[head], name, self.entities[tail]) for head, tail, name in self.relations}


SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "tokens": pa.list_(pa.string()),
        "e1": pa.string(),
        "e2": pa.string(),
        "label": pa.string(),
        "entities": pa.list_(pa.struct({"start": pa.int64(), "end": pa.int64(), "type": pa.string()})),
        "relations": pa.list_(pa.struct({"head": pa.int64(), "tail": pa.int64(), "type": pa.string()})),
        "group": pa.string(),
    }
)
"""Arrow types of a canonical row."""


def marked_row(given: Mapping[str, Any], *, labelled: bool = True) -> dict[str, Any]:
    """The canonical row of a marked pair: a text with markers, or ``text``, ``e1`` and ``e2``; with its ``label``.

    Where no group is given, rows of the same sentence are of one.

    Raises:
        RowError: a value is missing, blank or of the wrong kind, or a mention is not in the text.
    """
    marked = _marked(given)
    row = {"text": marks.write(marked), **dict(zip(_MENTIONS, marked.mentions, strict=True))}
    label = text_of(given, "label") if labelled else None
    return _row(row, label=label, group=given.get("group") or _digest(marked.text))


def triples_row(given: Mapping[str, Any], *, labelled: bool = True) -> dict[str, Any]:
    """The canonical row of a text, or of its tokens, with ``entities`` and ``relations``.

    Raises:
        RowError: a value is missing, blank or of the wrong kind, or entities and relations do not fit.
    """
    text, words = annotated.read_text(given)
    places = None if text is not None or words is None else places_of.join(words)[1]
    whole = annotated.unmarked(text, words).text
    row: dict[str, Any] = {"text": whole, "tokens": words}
    if not labelled:
        return _row(row)
    for name in ("entities", "relations"):
        if given.get(name) is None:
            raise RowError(name, "is missing; write [] where a text has none")
    entities = annotated.read_entities(given["entities"], whole, places)
    relations = read_relations(given["relations"], len(entities))
    row["entities"] = [span._asdict() for span in entities]
    return _row(row, relations=[one._asdict() for one in relations], group=given.get("group"))


def read_relations(cell: Any, entities: int) -> list[Relation]:
    """The relations in a cell, each once, in its order.

    Args:
        cell: list of mappings with ``head``, ``tail`` and ``type``, or such a list as JSON.
        entities: how many entities there are.

    Raises:
        RowError: the cell is no such list, or a relation is not between two of the entities.

    >>> read_relations('[{"head": 0, "tail": 1, "type": "in"}]', 2)
    [Relation(head=0, tail=1, type='in')]
    """
    found = []
    for number, entry in enumerate(_items(cell), 1):
        here = f"relation {number}"
        if not isinstance(entry, Mapping):
            raise RowError("relations", "hold what is no {head, tail, type}", here)
        for name in ("head", "tail"):
            value = entry.get(name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise RowError("relations", f"have no whole number as {name}", f"{here}: {value!r}")
            if not 0 <= value < entities:
                told = f"{here}: {name} {value}, and the row has {entities} entities, counted from 0"
                raise RowError("relations", "one is of an entity that does not exist", told)
        if entry["head"] == entry["tail"]:
            raise RowError("relations", "one is of an entity to itself", f"{here}: entity {entry['head']}")
        if not isinstance(entry.get("type"), str) or not entry["type"].strip():
            raise RowError("relations", "one has no type", here)
        found.append(Relation(entry["head"], entry["tail"], entry["type"]))
    return list(dict.fromkeys(found))


def are_pairs(rows: pa.Table) -> bool:
    """Whether labelled rows are marked pairs; else they are triples."""
    return bool(rows["relations"].null_count == len(rows))


def truths(rows: pa.Table) -> Iterator[Truth]:
    """What each text of canonical rows holds."""
    for _, batch in store.batches(rows.select(["entities", "relations"])):
        for entities, relations in zip(batch["entities"].to_pylist(), batch["relations"].to_pylist(), strict=True):
            yield Truth([Span(**one) for one in entities or ()], [Relation(**one) for one in relations or ()])


def as_read(rows: pa.Table, path: Path) -> tuple[pa.Table, Numbers]:
    """Texts of marked pairs as a model reads them, in an Arrow file, and where in them both mentions stand, (rows, 4)."""
    places: list[tuple[int, ...]] = []

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [marks.as_read(marks.read(text)) for text in batch["text"].to_pylist()]
        places.extend((*one.first, *one.second) for one in found)
        return pa.record_batch([pa.array([one.text for one in found], pa.string())], schema=batch.schema)

    table = store.rewrite(rows.select(["text"]), change, path)
    return table, np.array(places, np.int64).reshape(-1, 4)


def tally(rows: pa.Table) -> tuple[Counter[str], set[tuple[str, str, str]]]:
    """How often each type of entity occurs, and what each relation was between: types of its head and of its tail.

    Raises:
        DataError: there is no relation.
    """
    counts: Counter[str] = Counter()
    patterns: set[tuple[str, str, str]] = set()
    for truth in truths(rows):
        counts.update(span.type for span in truth.entities)
        patterns |= {(head.type, name, tail.type) for head, name, tail in truth.triples()}
    if not patterns:
        raise DataError("no training row has a relation", hint="say which column holds them: --columns.relations NAME")
    return counts, patterns


def label_numbers(rows: pa.Table, labels: Sequence[str]) -> Numbers:
    """Number of each row's label, int64 (rows,).

    Raises:
        DataError: a label is not among those; it names the rows.
    """
    number = {label: place for place, label in enumerate(labels)}
    names = rows["label"].to_pylist()
    unknown = [row for row, name in enumerate(names) if name not in number]
    if unknown:
        problems = [
            Problem(f"label '{names[row]}'", _where(rows, row), did_you_mean(str(names[row]), list(labels)))
            for row in unknown[:_MOST_SHOWN]
        ]
        hint = "leave them out, or have training rows of each label"
        raise DataError(f"{len(unknown):,} rows have labels that no training row has", problems=problems, hint=hint)
    return np.array([number[name] for name in names], np.int64)


def _row(values: Mapping[str, Any], *, group: Any = None, **more: Any) -> dict[str, Any]:
    empty = dict.fromkeys(SCHEMA.names)
    return {**empty, **values, **more, "group": None if group is None else str(group)}


def _marked(given: Mapping[str, Any]) -> Marked:
    text = text_of(given, "text")
    named = [name for name in _MENTIONS if given.get(name) is not None]
    if marks.has_marks(text):
        try:
            marked = marks.read(text)
        except ValueError as error:
            raise RowError("text", str(error)) from None
        for name, mention in zip(_MENTIONS, marked.mentions, strict=True):
            if name in named and str(given[name]) != mention:
                raise RowError(name, "is not what its markers hold", f"'{given[name]}', and <{name}> marks '{mention}'")
        return marked
    if not named:
        raise RowError("text", "has no <e1>..</e1> and <e2>..</e2>, and there are no columns e1 and e2")
    mentions = [text_of(given, name) for name in _MENTIONS]
    try:
        return marks.place(text, *mentions)
    except LookupError as error:
        which = int(error.args[0])
        raise RowError(_MENTIONS[which], "is not in the text", repr(mentions[which])) from None


def _items(cell: Any) -> Sequence[Any]:
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise RowError("relations", "is not JSON") from None
    if not isinstance(cell, (list, tuple)):
        raise RowError("relations", "is no list")
    return cell


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _where(rows: pa.Table, row: int) -> str | None:
    return store.where(rows, row) if store.SOURCE in rows.column_names else None
