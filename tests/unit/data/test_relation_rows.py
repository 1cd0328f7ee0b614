"""Rows of relations: what is read from both forms, and what is told of those that cannot be used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tunesmith.data import relation_rows, store
from tunesmith.data.relation_rows import SCHEMA, Relation, marked_row, read_relations, triples_row
from tunesmith.errors import DataError
from tunesmith.text.cells import RowError
from tunesmith.text.spans import Span

MARKED = "<e1>Ann</e1> runs <e2>Acme</e2>"
ENTITIES = [{"start": 9, "end": 13, "type": "firm"}, {"start": 0, "end": 3, "type": "person"}]
RUNS = {"head": 1, "tail": 0, "type": "runs"}
TRIPLES: dict[str, Any] = {"text": "Ann runs Acme", "entities": ENTITIES, "relations": [RUNS]}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def test_markers_and_columns_say_the_same() -> None:
    marked = marked_row({"text": MARKED, "label": "runs"})
    assert marked == {
        **dict.fromkeys(SCHEMA.names),
        "text": MARKED,
        "e1": "Ann",
        "e2": "Acme",
        "label": "runs",
        "group": marked["group"],
    }
    named = {"text": "Ann runs Acme", "e1": "Ann", "e2": "Acme", "label": "runs"}
    assert marked_row(named) == marked
    assert marked_row({**named, "text": MARKED}) == marked


def test_pairs_of_one_sentence_are_of_one_group() -> None:
    one = marked_row({"text": MARKED, "label": "runs"})
    other = marked_row({"text": "<e2>Ann</e2> runs <e1>Acme</e1>", "label": "run by"})
    assert one["group"] == other["group"] != marked_row({"text": f"{MARKED}.", "label": "runs"})["group"]
    assert marked_row({"text": MARKED, "label": "runs", "group": 7})["group"] == "7"


@pytest.mark.parametrize(
    ("given", "column", "message"),
    [
        ({"text": None}, "text", "is missing"),
        ({"text": " "}, "text", "is blank"),
        ({"text": ["a"]}, "text", "is a list, not text"),
        ({"text": "Ann"}, "text", "has no <e1>..</e1> and <e2>..</e2>, and there are no columns e1 and e2"),
        ({"text": "<e1>Ann</e1>"}, "text", "has no <e2>"),
        ({"text": f"{MARKED} <e1>b</e1>"}, "text", "has <e1> twice"),
        ({"text": "<e1>Ann <e2>b</e2>"}, "text", "has no </e1>"),
        ({"text": "Ann", "e1": "Ann"}, "e2", "is missing"),
        ({"text": "Ann", "e1": "Ann", "e2": "Bo"}, "e2", "is not in the text ('Bo')"),
        ({"text": "Ann", "e1": "Bo", "e2": "Ann"}, "e1", "is not in the text ('Bo')"),
        ({"e1": "Bo"}, "e1", "is not what its markers hold ('Bo', and <e1> marks 'Ann')"),
        ({"label": None}, "label", "is missing"),
        ({"label": ""}, "label", "is blank"),
    ],
)
def test_marked_pairs_that_cannot_be_used(given: dict[str, Any], column: str, message: str) -> None:
    with pytest.raises(RowError, match=f"^{re.escape(message)}$") as caught:
        marked_row({"text": MARKED, "label": "runs", **given})
    assert caught.value.column == column


def test_triples_keep_the_order_of_entities() -> None:
    row = triples_row(TRIPLES)
    assert row == {**dict.fromkeys(SCHEMA.names), **TRIPLES}
    as_text = {name: json.dumps(TRIPLES[name]) for name in ("entities", "relations")}
    assert triples_row({"text": TRIPLES["text"], **as_text}) == row
    assert triples_row({**TRIPLES, "group": 3})["group"] == "3"


def test_entities_count_tokens_where_there_is_no_text() -> None:
    entities = [{"start": 2, "end": 3, "type": "firm"}, {"start": 0, "end": 1, "type": "person"}]
    row = triples_row({"tokens": ["Ann", "runs", "Acme"], "entities": entities, "relations": [RUNS]})
    assert row == {**dict.fromkeys(SCHEMA.names), **TRIPLES, "tokens": ["Ann", "runs", "Acme"]}


def test_what_is_asked_has_no_truth() -> None:
    assert triples_row({"text": "Ann"}, labelled=False) == {**dict.fromkeys(SCHEMA.names), "text": "Ann"}
    assert marked_row({"text": MARKED}, labelled=False)["label"] is None


@pytest.mark.parametrize(
    ("given", "column", "message"),
    [
        ({"text": None}, "text", "is missing, and so is tokens"),
        ({"entities": None}, "entities", "is missing; write [] where a text has none"),
        ({"relations": None}, "relations", "is missing; write [] where a text has none"),
        ({"entities": [{**ENTITIES[0], "end": 99}]}, "entities", "one is outside of the text (entity 1, 9 to 99 of 13"),
        ({"entities": [ENTITIES[0]] * 2}, "entities", "overlap"),
    ],
)
def test_triples_that_cannot_be_used(given: dict[str, Any], column: str, message: str) -> None:
    with pytest.raises(RowError, match=f"^{re.escape(message)}") as caught:
        triples_row({**TRIPLES, **given})
    assert caught.value.column == column


def test_relations_are_read_once_each() -> None:
    cell = [{"head": 0, "tail": 1, "type": "runs"}, {"head": 0, "tail": 1, "type": "owns"}]
    assert read_relations([*cell, cell[0]], 2) == [Relation(0, 1, "runs"), Relation(0, 1, "owns")]
    assert read_relations(json.dumps(cell), 2) == read_relations(cell, 2)
    assert read_relations([], 0) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("Ann", "is not JSON"),
        ({"head": 0}, "is no list"),
        ([["Ann", "runs", "Acme"]], "hold what is no {head, tail, type} (relation 1)"),
        ([{"head": 0, "type": "runs"}], "have no whole number as tail (relation 1: None)"),
        ([{"head": "Ann", "tail": 1, "type": "runs"}], "have no whole number as head (relation 1: 'Ann')"),
        ([{"head": True, "tail": 1, "type": "runs"}], "have no whole number as head (relation 1: True)"),
        (
            [{"head": 0, "tail": 2, "type": "runs"}],
            "one is of an entity that does not exist (relation 1: tail 2, and the row has 2 entities, counted from 0)",
        ),
        (
            [{"head": -1, "tail": 1, "type": "runs"}],
            "one is of an entity that does not exist (relation 1: head -1, and the row has 2 entities, counted from 0)",
        ),
        ([{"head": 1, "tail": 1, "type": "runs"}], "one is of an entity to itself (relation 1: entity 1)"),
        ([{"head": 0, "tail": 1}], "one has no type (relation 1)"),
    ],
)
def test_relations_that_cannot_be_used(cell: Any, message: str) -> None:
    with pytest.raises(RowError, match=f"^{re.escape(message)}$") as caught:
        read_relations(cell, 2)
    assert caught.value.column == "relations"


def test_what_rows_hold() -> None:
    rows = table(triples_row(TRIPLES), triples_row({**TRIPLES, "relations": []}))
    first, second = relation_rows.truths(rows)
    assert first.entities == [Span(9, 13, "firm"), Span(0, 3, "person")]
    assert first.triples() == {(Span(0, 3, "person"), "runs", Span(9, 13, "firm"))}
    assert second.triples() == set()
    assert not relation_rows.are_pairs(rows)
    assert relation_rows.are_pairs(table(marked_row({"text": MARKED, "label": "runs"})))


def test_texts_as_a_model_reads_them(tmp_path: Path) -> None:
    rows = table(*(marked_row({"text": text, "label": "runs"}) for text in (MARKED, "<e2>b</e2> <e1>a</e1>")))
    read, places = relation_rows.as_read(rows, tmp_path / "read.arrow")
    assert read["text"].to_pylist() == ["@ Ann @ runs # Acme #", "# b # @ a @"]
    assert places.tolist() == [[0, 7, 13, 21], [6, 11, 0, 5]]


def test_unknown_labels_are_told_with_their_rows() -> None:
    rows = table(*(marked_row({"text": MARKED, "label": label}) for label in ("runs", "rusn")))
    assert relation_rows.label_numbers(rows.slice(0, 1), ["owns", "runs"]).tolist() == [1]
    with pytest.raises(DataError, match="did you mean 'runs'"):
        relation_rows.label_numbers(rows, ["owns", "runs"])
    placed = rows.append_column(store.LINE, pa.array([2, 3])).append_column(store.SOURCE, pa.array(["f", "f"]))
    with pytest.raises(DataError, match="f:3"):
        relation_rows.label_numbers(placed, ["owns", "runs"])
