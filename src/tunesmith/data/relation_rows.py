"""Canonical rows of relation extraction: read from a user's row, and what they hold.

A row has ``text``, ``label``, ``entities``, ``relations`` and ``group``. Of a marked pair the text holds the markers of
``marks`` and the label is set; of triples the entities (in characters) and relations are, and the label is null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from tunesmith import annotations, marks, spans
from tunesmith.annotations import Relation
from tunesmith.data import store
from tunesmith.errors import DataError, Problem, did_you_mean
from tunesmith.marks import Marked
from tunesmith.spans import Place, Span

T = TypeVar("T")
Triple = tuple[Span, str, Span]
"""Head, name of the relation, tail."""

_MOST_SHOWN = 20


class CellError(ValueError):
    """What is wrong with a value, and the canonical column in which it stands."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


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
        "label": pa.string(),
        "entities": pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "type": pa.string()})),
        "relations": pa.list_(pa.struct({"head": pa.int32(), "tail": pa.int32(), "type": pa.string()})),
        "group": pa.string(),
    }
)
"""Arrow types of a canonical row."""


def marked_row(given: Mapping[str, Any], *, labelled: bool = True) -> dict[str, Any]:
    """The canonical row of a marked pair: a text with markers, or ``text``, ``e1`` and ``e2``; with its ``label``.

    Rows of the same sentence are of one group.

    Raises:
        CellError: a value is missing, blank or of the wrong kind, or a mention is not in the text.
    """
    marked = _marked(given)
    label = _text(given, "label") if labelled else None
    return {**_row(marks.write(marked)), "label": label, "group": _digest(marked.text)}


def triples_row(given: Mapping[str, Any], *, labelled: bool = True) -> dict[str, Any]:
    """The canonical row of a text, or of its tokens, with ``entities`` and ``relations``.

    Raises:
        CellError: a value is missing, blank or of the wrong kind, or entities and relations do not fit.
    """
    text, tokens = _text_and_tokens(given)
    row = _row(text)
    if not labelled:
        return row
    entities = _cell("entities", lambda: annotations.read_entities(given.get("entities"), text, tokens))
    relations = _cell("relations", lambda: annotations.read_relations(given.get("relations"), len(entities)))
    return {**row, "entities": [span._asdict() for span in entities], "relations": [one._asdict() for one in relations]}


def truths(rows: pa.Table) -> Iterator[Truth]:
    """What each text of canonical rows holds."""
    for _, batch in store.batches(rows.select(["entities", "relations"])):
        for entities, relations in zip(batch["entities"].to_pylist(), batch["relations"].to_pylist(), strict=True):
            yield Truth([Span(**one) for one in entities or ()], [Relation(**one) for one in relations or ()])


def torn_entities(rows: pa.Table) -> list[tuple[int, Span]]:
    """Entities that begin or end inside a word, with the numbers of their rows; no model of words can find them."""
    found = []
    for row, (text, truth) in enumerate(zip(rows["text"].to_pylist(), truths(rows), strict=True)):
        words = spans.split(text)
        found += [(row, span) for span in truth.entities if not spans.cut_words(words, [span])]
    return found


def as_read(rows: pa.Table, path: Path) -> tuple[pa.Table, np.ndarray]:
    """Texts of marked pairs as a model reads them, in an Arrow file, and where in them both mentions stand, (rows, 4)."""
    places: list[tuple[int, ...]] = []

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        found = [marks.as_read(marks.read(text)) for text in batch["text"].to_pylist()]
        places.extend((*one.first, *one.second) for one in found)
        return pa.record_batch([pa.array([one.text for one in found], pa.string())], schema=batch.schema)

    table = store.rewrite(rows.select(["text"]), change, path)
    return table, np.array(places, np.int64).reshape(-1, 4)


def label_numbers(rows: pa.Table, labels: Sequence[str]) -> np.ndarray:
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


def _row(text: str) -> dict[str, Any]:
    return {"text": text, "label": None, "entities": None, "relations": None, "group": None}


def _marked(given: Mapping[str, Any]) -> Marked:
    text = _text(given, "text")
    named = [name for name in ("e1", "e2") if given.get(name) is not None]
    if marks.has_marks(text):
        marked = _cell("text", lambda: marks.read(text))
        for name, mention in zip(("e1", "e2"), marked.mentions, strict=True):
            if name in named and given[name] != mention:
                raise CellError(name, f"is '{given[name]}', and <{name}> marks '{mention}'")
        return marked
    if not named:
        raise CellError("text", "has no <e1>..</e1> and <e2>..</e2>, and there are no columns e1 and e2")
    mentions = [_text(given, name) for name in ("e1", "e2")]
    try:
        return marks.place(text, *mentions)
    except LookupError as error:
        which = int(error.args[0])
        raise CellError(("e1", "e2")[which], f"'{mentions[which]}' is not in the text") from None


def _text_and_tokens(given: Mapping[str, Any]) -> tuple[str, list[Place] | None]:
    tokens = given.get("tokens")
    if tokens is None:
        return _text(given, "text"), None
    if not isinstance(tokens, (list, tuple)):
        raise CellError("tokens", f"is a {type(tokens).__name__}, not a list")
    if not tokens:
        raise CellError("tokens", "is empty")
    for number, token in enumerate(tokens):
        if not isinstance(token, str) or not token.strip():
            raise CellError("tokens", f"[{number}] is {'blank' if isinstance(token, str) else 'no text'}")
    return spans.join(tokens)


def _text(given: Mapping[str, Any], column: str) -> str:
    value = given.get(column)
    if value is None:
        raise CellError(column, "is missing")
    if isinstance(value, (list, tuple, dict)):
        raise CellError(column, f"is a {type(value).__name__}, not text")
    text = str(value)
    if not text.strip():
        raise CellError(column, "is blank")
    return text


def _cell(column: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise CellError(column, str(error)) from None


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _where(rows: pa.Table, row: int) -> str | None:
    return store.where(rows, row) if store.SOURCE in rows.column_names else None
