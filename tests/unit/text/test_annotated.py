"""Marked texts in all the forms that people's files have, and every way in which a row can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunesmith.text import annotated
from tunesmith.text.annotated import Marked
from tunesmith.text.cells import RowError
from tunesmith.text.spans import Span

TEXT = "Ann Lee saw Oslo."
WORDS = ["Ann", "Lee", "saw", "Oslo", "."]
TAGS = ["B-person", "I-person", "O", "B-place", "O"]
SPANS = [Span(0, 7, "person"), Span(12, 16, "place")]
MAPPINGS = [{"start": 0, "end": 7, "type": "person"}, {"start": 12, "end": 16, "type": "place"}]


@pytest.mark.parametrize(
    "row",
    [
        {"text": TEXT, "tokens": WORDS, "tags": TAGS},
        {"text": TEXT, "tokens": json.dumps(WORDS), "tags": str(TAGS)},
        {"text": TEXT, "tokens": " ".join(WORDS), "tags": " ".join(TAGS)},
        {"text": TEXT, "entities": MAPPINGS},
        {"text": TEXT, "entities": json.dumps(MAPPINGS)},
        {"text": TEXT, "entities": MAPPINGS[::-1]},
        {"text": TEXT, "entities": [[0, 7, "person"], (12, 16, "place")]},
        {
            "text": TEXT,
            "entities": [
                {"start": 0, "end": 7, "label": "person", "text": "Ann Lee", "id": 3, "score": 1},
                MAPPINGS[1],
            ],
        },
        {"text": TEXT, "entities": {"person": {"Ann Lee": [[0, 6]]}, "place": {"Oslo": [[12, 15]]}}},
        {"text": TEXT, "tokens": WORDS, "tags": TAGS, "entities": MAPPINGS},
        {"text": TEXT, "tokens": WORDS, "tags": ["B-person", "L-person", "O", "U-place", "O"]},
        {"text": TEXT, "tokens": WORDS, "tags": ["person", "person", "O", "place", "O"]},
    ],
)
def test_all_forms_say_the_same(row: dict[str, Any]) -> None:
    found = annotated.read(row)
    assert (found.text, found.spans) == (TEXT, SPANS)


def test_words_without_a_text_are_joined() -> None:
    found = annotated.read({"tokens": WORDS, "tags": TAGS})
    assert found == Marked("Ann Lee saw Oslo .", SPANS, WORDS, TAGS)
    chinese = annotated.read({"tokens": list("在上海见"), "tags": ["O", "B-地", "I-地", "O"]})
    assert (chinese.text, chinese.spans) == ("在上海见", [Span(1, 3, "地")])


def test_entities_of_words_count_words() -> None:
    found = annotated.read({"tokens": WORDS, "entities": [{"start": 0, "end": 2, "type": "person"}, [3, 4, "place"]]})
    assert found.spans == SPANS


def test_a_text_may_have_no_entity_but_must_say_so() -> None:
    assert annotated.read({"text": "a", "entities": []}).spans == []
    assert annotated.read({"tokens": ["a"], "tags": ["O"]}).spans == []
    with pytest.raises(RowError, match="write \\[\\] where a text has none"):
        annotated.read({"text": "a", "entities": None})


def test_entities_keep_their_order_for_those_who_number_them() -> None:
    assert annotated.read_entities(MAPPINGS[::-1], TEXT) == SPANS[::-1]
    assert annotated.read({"text": TEXT, "entities": MAPPINGS[::-1]}).spans == SPANS


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({"entities": []}, "text", "is missing, and so is tokens"),
        ({"tags": TAGS}, "tokens", "is missing, and so is text"),
        ({"text": ["a"], "entities": []}, "text", "is a list, not text"),
        ({"text": TEXT, "tags": TAGS}, "tokens", "is missing, and there are tags"),
        ({"tokens": WORDS, "tags": TAGS[:-1]}, "tags", "4 tags, 5 tokens"),
        ({"tokens": WORDS, "tags": [0, 1, 0, 2, 0]}, "tags", "are numbers, whose names are not known"),
        ({"tokens": WORDS, "tags": ["0", "1", "0", "2", "0"]}, "tags", "'0' is no tag"),
        ({"tokens": WORDS, "tags": {"a": 1}}, "tags", "is neither a list nor text"),
        ({"tokens": ["a", None], "tags": ["O", "O"]}, "tokens", "number 2: None"),
        ({"tokens": ["a b", "", "c"], "tags": ["O"] * 3}, "tokens", "hold a blank one (number 2)"),
        ({"tokens": "[]", "tags": "[]"}, "tokens", "is blank"),
        ({"tokens": [" ", " "], "tags": ["O"] * 2}, "tokens", "is blank"),
        ({"text": "Ann saw", "tokens": ["Ann", "Lee"], "tags": ["O", "O"]}, "tokens", "are not the words of the text"),
        ({"text": TEXT, "entities": "no JSON"}, "entities", "is not JSON"),
        ({"text": TEXT, "entities": 5}, "entities", "is no list"),
        ({"text": TEXT, "entities": ["person"]}, "entities", "hold what is neither"),
        ({"text": TEXT, "entities": [[0, 7]]}, "entities", "entity 1"),
        ({"text": TEXT, "entities": [[7, 7, "person"]]}, "entities", "one ends before or where it starts"),
        ({"text": TEXT, "entities": [[0, 99, "person"]]}, "entities", "0 to 99 of 17 characters"),
        ({"text": TEXT, "entities": [[-3, 2, "person"]]}, "entities", "one is outside of the text"),
        ({"tokens": WORDS, "entities": [[0, 9, "person"]]}, "entities", "0 to 9 of 5 tokens"),
        ({"text": TEXT, "entities": [[0, 7, "person"], [4, 9, "place"]]}, "entities", "overlap (0 to 7 and 4 to 9)"),
        ({"text": TEXT, "entities": [["0", 7, "person"]]}, "entities", "have no whole number as start"),
        ({"text": TEXT, "entities": [[0, 7.5, "person"]]}, "entities", "have no whole number as end"),
        ({"text": TEXT, "entities": [[0, True, "person"]]}, "entities", "have no whole number as end"),
        ({"text": TEXT, "entities": [[0, 7, ""]]}, "entities", "have no type"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 7}]}, "entities", "have no type"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 7, "type": "a", "label": "b"}]}, "entities", "no one type"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 7, "kind": "a"}]}, "entities", "keys that are not known"),
        (
            {"text": TEXT, "entities": [{**MAPPINGS[0], "text": "Eve"}]},
            "entities",
            "have another text than stands there",
        ),
        ({"text": TEXT, "entities": {"person": ["Ann"]}}, "entities", "{type: {mention: [[first, last]]}}"),
        ({"text": TEXT, "entities": {"person": {"Ann": [[0, 6]]}}}, "entities", "'Ann Lee'"),
        (
            {"text": TEXT, "tokens": WORDS, "entities": [[0, 5, "person"]]},
            "entities",
            "where tokens do ('Ann L', 0 to 5)",
        ),
        (
            {"text": TEXT, "tokens": WORDS, "tags": TAGS, "entities": MAPPINGS[:1]},
            "entities",
            "only tags have 'Oslo' as place",
        ),
    ],
)
def test_what_is_wrong_is_told(row: dict[str, Any], column: str, message: str) -> None:
    with pytest.raises(RowError) as caught:
        annotated.read(row)
    assert caught.value.column == column
    assert message in str(caught.value)
