"""Measures of answers, by hand."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from tunesmith.sweeping import measures, validity
from tunesmith.sweeping.samples import Sample


def sample(text: str, number: int = 0, finish: str = "stop", tokens: int = 4, seconds: float = 2.0) -> Sample:
    return Sample(0, 0, number, text, tokens, finish, seconds)


def test_every_measure_of_two_rows() -> None:
    found = measures.of(
        [[sample("a b"), sample("a b", 1)], [sample("a b c d a b c d", finish="length"), sample("x y", 1)]],
        form=None,
        price=0.5,
    )
    assert found["distinct_1"].tolist() == pytest.approx([2 / 4, 6 / 10])
    assert found["distinct_2"].tolist() == pytest.approx([1 / 2, 5 / 8])
    assert found["repetition"].tolist() == pytest.approx([0, 0.1])
    assert found["cut"].tolist() == [0, 0.5]
    assert found["tokens"].tolist() == [4, 4]
    assert found["tokens_per_second"].tolist() == [2, 2]
    assert found["cost"].tolist() == pytest.approx([0.002, 0.002])
    assert found["self_bleu"][0] > 90 > found["self_bleu"][1]
    assert "valid" not in found


def test_one_answer_a_row_says_nothing_of_likeness() -> None:
    assert "self_bleu" not in measures.of([[sample("a")], [sample("b")]], form=None, price=None)


@pytest.mark.parametrize(
    ("text", "form", "valid"),
    [
        ('{"a": 1}', {"type": "json_object"}, True),
        ("[1]", {"type": "json_object"}, False),
        ('{"a": 1', {"type": "json_object"}, False),
        ('{"a": 1}', {"type": "json_schema", "json_schema": {"schema": {"required": ["a"]}}}, True),
        ('{"b": 1}', {"type": "json_schema", "json_schema": {"schema": {"required": ["a"]}}}, False),
        ("yes", {"type": "choice", "choice": ["yes", "no"]}, True),
        ("12", {"type": "regex", "regex": r"\d+"}, True),
        ("12a", {"type": "regex", "regex": r"\d+"}, False),
        ('{"a": NaN}', {"type": "json_object"}, False),
        ('{"b": 1}', {"type": "json_schema", "json_schema": {"type": "object", "required": ["a"]}}, False),
        ('{\n "a":1 }', {"type": "json_schema", "json_schema": {"name": "x", "schema": {"required": ["a"]}}}, True),
        ("maybe", {"type": "choice", "choice": ["yes", "no"]}, False),
        ("ab", {"type": "grammar", "grammar": 'start: "a"+ "b"'}, True),
        ("a", {"type": "grammar", "grammar": 'start: "a"+ "b"'}, False),
        ("abc", {"type": "grammar", "grammar": 'start: "a"+ "b"'}, False),
        ("ééß", {"type": "regex", "regex": r"[é-ü]+ß"}, True),
        ("x" * 400, {"type": "regex", "regex": "x{400}"}, True),
    ],
)
def test_formats(text: str, form: dict[str, object], valid: bool) -> None:
    found = measures.of([[sample(text)]], form=form, price=None)["valid"]
    assert found.tolist() == [float(valid)]


def test_a_whole_value_that_was_cut_is_not_valid() -> None:
    """More might have come: the number was not finished."""
    form = {"type": "regex", "regex": r"\d+"}
    cut = dataclasses.replace(sample("12"), finish_reason="length")
    assert measures.of([[sample("12")], [cut]], form=form, price=None)["valid"].tolist() == [1, 0]


def test_a_schema_is_kept_to_without_the_package_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    fits = validity.judge({"type": "json_schema", "json_schema": {"schema": schema}})
    assert [fits(text) for text in ('{"a": 1}', '{"a": "1"}', '{"b": 1}', '{"a": 1')] == [True, False, False, False]


def test_texts_without_words_have_all_measures() -> None:
    found = measures.of([[sample("")]], form=None, price=None)
    assert all(np.isfinite(values).all() for values in found.values())


def test_every_measure_is_explained() -> None:
    found = measures.of([[sample("a"), sample("b", 1)]], form={"type": "json_object"}, price=1.0)
    assert set(found) == set(measures.UNITS)
