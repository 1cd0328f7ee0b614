"""Answers as people write them, each found at its place in the context."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunesmith.data.answers import find

CONTEXT = "Ann opens at noon. Bob opens at nine 😀, Ann closes at six."
NINE = CONTEXT.index("nine")


@pytest.mark.parametrize(
    "cell",
    [
        {"text": ["nine"], "answer_start": [NINE]},
        {"text": ["nine"], "answer_start": [float(NINE)]},
        {"text": ["nine"], "answer_start": [None]},
        {"text": ["nine"]},
        {"text": "nine", "answer_start": NINE},
        {"text": " nine ", "start": NINE - 1},
        [{"text": "nine", "answer_start": NINE}],
        [{"text": "nine", "start": NINE}],
        [{"text": "nine"}],
        ["nine"],
        "nine",
        " nine\n",
    ],
)
def test_every_way_to_write_an_answer(cell: Any) -> None:
    found = [{"text": "nine", "start": NINE}]
    assert find(cell, CONTEXT) == found
    if not isinstance(cell, str):
        assert find(json.dumps(cell), CONTEXT) == found


def test_several_answers_keep_their_order() -> None:
    found = find({"text": ["six", "nine 😀"], "answer_start": [CONTEXT.index("six"), NINE]}, CONTEXT)
    assert [CONTEXT[one["start"] :][: len(one["text"])] for one in found] == ["six", "nine 😀"]


@pytest.mark.parametrize("cell", [[], {"text": [], "answer_start": []}, "[]", '{"text": [], "answer_start": []}'])
def test_no_answer(cell: Any) -> None:
    assert find(cell, CONTEXT) == []


def test_numbers_and_brackets_are_texts() -> None:
    assert find(1912, "built in 1912") == [{"text": "1912", "start": 9}]
    assert find("[sic]", "he said [sic] so") == [{"text": "[sic]", "start": 8}]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"text": ["nine"], "answer_start": [0]}, "are not where they should start: at 0 stands 'Ann' and not 'nine', which starts at 32"),
        ({"text": ["nine"], "answer_start": [999]}, "at 999 stands nothing and not 'nine', which starts at 32"),
        ({"text": ["nine"], "answer_start": [-1]}, "at -1 stands nothing and not 'nine'"),
        ({"text": ["opens"], "answer_start": [0]}, "and not 'opens', which is elsewhere"),
        ({"text": ["ten"], "answer_start": [0]}, "at 0 stands 'Ann' and not 'ten', which is nowhere"),
        ({"text": ["nine"], "answer_start": ["0"]}, "start at '0', which is no number of a character"),
        ({"text": ["nine"], "answer_start": [1.5]}, "start at 1.5"),
        ({"text": ["nine"], "answer_start": [True]}, "start at True"),
        ({"text": ["nine", "six"], "answer_start": [NINE]}, "have 2 texts and 1 starts"),
        ({"answer_start": [NINE]}, 'have no "text"'),
        ({"text": [None], "answer_start": [NINE]}, "hold None where a text should be"),
        (True, "hold True where a text should be"),
        ({"text": [" "], "answer_start": [3]}, "hold a blank text"),
        ("ten", "are not in the context: 'ten'"),
        ("opens", "are at several places of the context; say at which: 'opens' at 4, 23"),
        ("{'text': ['nine']}", "are neither JSON nor a text of the context"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(cell: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        find(cell, CONTEXT)
    assert message in str(caught.value)


def test_the_nearest_place_is_meant_where_one_is_near() -> None:
    context = "opens " + "x" * 200 + " opens"
    with pytest.raises(ValueError, match="which starts at 207"):
        find({"text": ["opens"], "answer_start": [205]}, context)


def test_many_places_are_not_all_listed() -> None:
    with pytest.raises(ValueError, match=r"'a' at 0, 1, 2, 3, 4 \.\.\.$"):
        find("a", "a" * 100)
