"""Cells of a user's row."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tunesmith.text import cells
from tunesmith.text.cells import RowError


@pytest.mark.parametrize("given", ["fine", " fine ", 7, True])
def test_what_is_text(given: Any) -> None:
    assert cells.text_of({"text": given}, "text") == str(given)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "is missing"),
        ({"text": None}, "is missing"),
        ({"text": math.nan}, "is missing"),
        ({"text": " \n"}, "is blank"),
        ({"text": ["fine"]}, "is a list, not text"),
        ({"text": {"en": "fine"}}, "is a dict, not text"),
    ],
)
def test_what_is_no_text(row: dict[str, Any], said: str) -> None:
    with pytest.raises(RowError, match=f"^{said}$") as caught:
        cells.text_of(row, "text")
    assert caught.value.column == "text"


def test_numbers() -> None:
    assert [cells.number_of({"n": given}, "n") for given in (3, "4.5", " -1e3 ", True)] == [3, 4.5, -1000, 1]


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "is missing"), (" ", "is missing"), (math.nan, "is missing"), ("nan", "is not a number")]
    + [(given, "is not a number") for given in ("three", math.inf, "inf", [3], {"n": 3})],
)
def test_what_is_no_number(given: Any, said: str) -> None:
    with pytest.raises(RowError, match=f"^{said}$"):
        cells.number_of({"n": given}, "n")


def test_the_detail_is_told_behind_the_reason() -> None:
    error = RowError("tags", "are not as many as tokens", "4 tags, 5 tokens")
    assert str(error) == "are not as many as tokens (4 tags, 5 tokens)"
    assert (error.column, error.message, error.detail) == ("tags", "are not as many as tokens", "4 tags, 5 tokens")


def test_unknown_inputs_are_refused() -> None:
    cells.refuse_unknown({"text": "a"}, ("text",))
    with pytest.raises(RowError, match="is not an input; the input is text") as caught:
        cells.refuse_unknown({"txt": "a"}, ("text",))
    assert caught.value.column == "txt"
    with pytest.raises(RowError, match="inputs are text and text_pair"):
        cells.refuse_unknown({"txt": "a"}, ("text", "text_pair"))
