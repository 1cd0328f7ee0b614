"""How text becomes a value, and what is said to be legal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from pydantic.fields import FieldInfo

from tunesmith import kinds


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3e-5", float, "3e-5"),
        ("none", float, "none"),
        ("none", float | None, None),
        (" NULL ", int | None, None),
        ("a, b,", tuple[str, ...], ["a", "b"]),
        ("", tuple[str, ...], []),
        ("none", tuple[str, ...], []),
        ("[a, 'b, c']", tuple[str, ...], ["a", "b, c"]),
        ("[a", tuple[str, ...], "[a"),
        ("balanced", Literal["balanced"] | dict[str, float], "balanced"),
        ("{good: 2}", Literal["balanced"] | dict[str, float], {"good": 2}),
        ("[x]", str, "[x]"),
        ("a,b", str | None, "a,b"),
    ],
)
def test_text_is_read_as_its_type(text: str, annotation: Any, value: Any) -> None:
    read = kinds.from_text(text, annotation)
    assert read == value
    assert type(read) is type(value)


def test_alternatives_see_through_annotations() -> None:
    annotation = Annotated[float, Field(gt=0)] | Literal["a"] | None
    assert kinds.alternatives(annotation) == (float, Literal["a"], type(None))
    assert kinds.alternatives(str) == (str,)


@pytest.mark.parametrize(
    ("annotation", "choices", "words"),
    [
        (Annotated[int, Field(ge=1, le=5)], (), "whole number >= 1 and <= 5"),
        (Annotated[float, Field(gt=0)] | None, (), "number > 0 or none"),
        (Literal["a", "b"], ("a", "b"), "one of a, b"),
        (Literal["a"] | dict[str, float], ("a",), "one of a or mapping"),
        (tuple[str, ...], (), "list"),
        (bool, (), "true or false"),
        (Annotated[float, kinds.Legal("a length")] | None, (), "a length or none"),
    ],
)
def test_legal_values_in_words(annotation: Any, choices: tuple[str, ...], words: str) -> None:
    assert kinds.legal(FieldInfo.from_annotation(annotation), choices) == words


def test_names_of_plugins_are_all_that_is_legal() -> None:
    assert kinds.legal(FieldInfo.from_annotation(str | None), ("a", "b"), only_choices=True) == "one of a, b or none"
