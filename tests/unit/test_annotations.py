"""Entities and relations are read from cells, and what is wrong with them is told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tunesmith.annotations import Relation, read_entities, read_relations
from tunesmith.spans import Span

TEXT = "Ann runs Acme"
TOKENS = [(0, 3), (4, 8), (9, 13)]
ANN: dict[str, Any] = {"start": 0, "end": 3, "type": "person"}


def test_entities_in_characters_and_in_tokens() -> None:
    cell = [{"start": 9, "end": 13, "type": "firm"}, ANN]
    assert read_entities(cell, TEXT) == [Span(9, 13, "firm"), Span(0, 3, "person")]
    assert read_entities([{"start": 2, "end": 3, "type": "firm"}], TEXT, TOKENS) == [Span(9, 13, "firm")]
    assert read_entities(json.dumps(cell), TEXT) == read_entities(cell, TEXT)
    assert read_entities([{"start": 0.0, "end": 3.0, "type": 7}], TEXT) == [Span(0, 3, "7")]
    assert read_entities([], TEXT) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "is missing; write [] where there are none"),
        ("Ann", 'is no JSON list such as [{"type": ...}]'),
        ({"start": 0}, "is a dict, not a list"),
        (["Ann"], "[0] is a str, not a mapping"),
        ([ANN, {"end": 3, "type": "person"}], "[1] has no 'start'"),
        ([{**ANN, "end": "3"}], "[0] has end '3', which is no whole number"),
        ([{**ANN, "end": 2.5}], "[0] has end 2.5, which is no whole number"),
        ([{**ANN, "start": True}], "[0] has start True, which is no whole number"),
        ([{**ANN, "end": 99}], "[0] is from 0 to 99, and the text has 13 characters"),
        ([{**ANN, "start": 3}], "[0] is from 3 to 3, and the text has 13 characters"),
        ([{**ANN, "start": -1}], "[0] is from -1 to 3, and the text has 13 characters"),
        ([{**ANN, "type": " "}], "[0] has no 'type'"),
        ([{"start": 3, "end": 4, "type": "person"}], "[0] is blank"),
        ([ANN, {**ANN, "start": 2, "end": 8}], "overlap: 'Ann' and 'n runs'"),
    ],
)
def test_entities_that_cannot_be_used(cell: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_entities(cell, TEXT)


def test_tokens_are_counted_where_they_are_given() -> None:
    with pytest.raises(ValueError, match=r"^\[0\] is from 0 to 4, and the text has 3 tokens$"):
        read_entities([{**ANN, "end": 4}], TEXT, TOKENS)


def test_relations_are_read_once_each() -> None:
    cell = [{"head": 0, "tail": 1, "type": "runs"}, {"head": 0, "tail": 1, "type": "owns"}]
    assert read_relations([*cell, cell[0]], 2) == [Relation(0, 1, "runs"), Relation(0, 1, "owns")]
    assert read_relations(json.dumps(cell), 2) == read_relations(cell, 2)
    assert read_relations([], 0) == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "is missing; write [] where there are none"),
        ([["Ann", "runs", "Acme"]], "[0] is a list, not a mapping"),
        ([{"head": 0, "type": "runs"}], "[0] has no 'tail'"),
        ([{"head": "Ann", "tail": 1, "type": "runs"}], "[0] has head 'Ann', which is no whole number"),
        ([{"head": 0, "tail": 2, "type": "runs"}], "[0] has tail 2, and there are 2 entities, counted from 0"),
        ([{"head": -1, "tail": 1, "type": "runs"}], "[0] has head -1, and there are 2 entities, counted from 0"),
        ([{"head": 1, "tail": 1, "type": "runs"}], "[0] is of entity 1 to itself"),
        ([{"head": 0, "tail": 1}], "[0] has no 'type'"),
    ],
)
def test_relations_that_cannot_be_used(cell: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_relations(cell, 2)
