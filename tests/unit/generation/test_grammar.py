"""Answers keep to their format, on tiny models that would write anything."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

import tiny_generators
from generators import Generator
from tunesmith.errors import UsageError
from tunesmith.generation.answers import Generated
from tunesmith.generation.decode import generate
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.networks import generators

pytest.importorskip("llguidance")

SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["fine", "dull"]}}, "required": ["mood"]}
Answer = Callable[..., Generated]


@pytest.fixture(scope="module", params=["gpt2", "bart"])
def answer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Gives an answer of a decoder, or of an encoder-decoder, under some parameters."""
    folder = tiny_generators.write(tmp_path_factory.mktemp("model"), request.param)
    made = Generator(generators.load(folder).model, generators.load_tokenizer(folder))
    return lambda **given: generate(*made, [made.tokenizer.encode("the weather")], Request(**given))[0][0]


DRAWN = {"max_tokens": 60, "temperature": 1.5, "seed": 4}


def test_a_json_schema_is_kept(answer: Answer) -> None:
    found = answer(**DRAWN, response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}})
    assert found.finish_reason == "stop"
    assert json.loads(found.text)["mood"] in ("fine", "dull")


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ({"type": "choice", "choice": ["fine", "dull 一般"]}, "fine|dull 一般"),
        ({"type": "regex", "regex": "[ab]{3,5}!"}, "[ab]{3,5}!"),
        ({"type": "grammar", "grammar": 'start: "x" start | "y"'}, "x*y"),
    ],
)
def test_a_pattern_is_kept(answer: Answer, form: dict[str, Any], pattern: str) -> None:
    texts = [answer(**{**DRAWN, "seed": seed}, response_format=form).text for seed in range(4)]
    assert all(re.fullmatch(pattern, text) for text in texts)


def test_beams_keep_a_pattern(answer: Answer) -> None:
    found = answer(max_tokens=60, num_beams=3, response_format={"type": "regex", "regex": "[ab]{3,5}!"})
    assert re.fullmatch("[ab]{3,5}!", found.text)


def test_an_object_is_json_as_far_as_it_goes(answer: Answer) -> None:
    found = answer(**DRAWN, response_format={"type": "json_object"})
    assert found.text.startswith("{")
    assert answer(**DRAWN, response_format={"type": "text"}).text == answer(**DRAWN).text


@pytest.mark.parametrize(
    "form", [{"type": "regex", "regex": "("}, {"type": "choice", "choice": []}, {"type": "grammar", "grammar": "x y"}]
)
def test_a_format_that_cannot_be_used_is_told(answer: Answer, form: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="response_format: cannot be used"):
        answer(response_format=form)


def test_the_package_is_asked_for_by_name(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UsageError, match="needs the package llguidance"):
        answer(response_format={"type": "json_object"})
