"""Five hundred JSON schemas: every answer that was finished is valid, and what cannot be kept is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

import tiny_generators
from generators import Generator
from tunesmith.errors import UsageError
from tunesmith.generation.decode import generate
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.networks import generators

pytest.importorskip("llguidance")
jsonschema = pytest.importorskip("jsonschema")

Schema = dict[str, Any]
COUNT = 500
NAMES = ("a", "b2", "long name", "名", "x_y")
PATTERNS = ("^[a-c]{1,4}$", "^(ab|cd)+e?$", "^[0-9]{2}-[0-9]{2}$", "^x?y{2}$")


class Schemas:
    """Random schemas of a bounded size, with what real ones are made of."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def whole(self) -> Schema:
        """A schema whose root is an object, some of it behind references."""
        shared = {"part": self._value(1), "leaf": self._leaf()}
        found = self._object(2)
        found["properties"]["there"] = {"$ref": "#/$defs/part"}
        if self._source.random() < 0.5:
            found["properties"]["leaves"] = {"type": "array", "items": {"$ref": "#/$defs/leaf"}, "maxItems": 3}
        found["required"] = sorted({*found["required"], "there"})
        return {**found, "$defs": shared}

    def _value(self, depth: int) -> Schema:
        return self._pick(depth) if depth > 0 else self._leaf()

    def _pick(self, depth: int) -> Schema:
        kind = self._source.randrange(6)
        if kind == 0:
            return self._object(depth - 1)
        if kind == 1:
            low = self._source.randrange(3)
            return {
                "type": "array",
                "items": self._value(depth - 1),
                "minItems": low,
                "maxItems": low + self._source.randrange(3),
            }
        if kind == 2:
            return {"anyOf": [self._value(depth - 1), self._leaf()]}
        if kind == 3:
            return {"type": "array", "prefixItems": [self._leaf(), self._leaf()], "items": False, "minItems": 2}
        return self._leaf()

    def _object(self, depth: int) -> Schema:
        names = self._source.sample(NAMES, self._source.randrange(1, 4))
        return {
            "type": "object",
            "properties": {name: self._value(depth - 1) for name in names},
            "required": [name for name in names if self._source.random() < 0.7],
            "additionalProperties": False,
        }

    def _leaf(self) -> Schema:
        low = self._source.randrange(-50, 50)
        high, size = low + self._source.randrange(1, 200), self._source.randrange(4)
        return self._source.choice(
            [
                {"type": "integer", "minimum": low, "maximum": high},
                {"type": "integer", "exclusiveMinimum": low, "exclusiveMaximum": high + 2},
                {"type": "number", "minimum": low + 0.5, "maximum": high + 0.5},
                {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
                {"type": "string", "minLength": size, "maxLength": size + self._source.randrange(4)},
                {"type": "string", "pattern": self._source.choice(PATTERNS)},
                {"enum": [*self._source.sample(NAMES, 2), self._source.randrange(9), None, True]},
                {"const": {"k": [1, "v"]}},
                {"type": ["boolean", "null"]},
                {"type": "string", "format": self._source.choice(("date", "uuid"))},
            ]
        )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder = tiny_generators.write(tmp_path_factory.mktemp("model"), "gpt2")
    return Generator(generators.load(folder).model, generators.load_tokenizer(folder))


@pytest.mark.slow
def test_finished_answers_are_valid(model: Generator) -> None:
    schemas = Schemas(7)
    asked = [schemas.whole() for _ in range(COUNT)]
    prompt, spell = model.tokenizer.encode("the weather"), model.tokenizer.convert_tokens_to_ids
    # Else a random model writes space without end.
    bias = {spell(letter): 4.0 for letter in '"}],'} | {spell(space): -20.0 for space in ("Ġ", "Ċ", "ĉ", "č")}
    requests = []
    for number, schema in enumerate(asked):
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        requests.append(Request(max_tokens=200, temperature=0.7, seed=number, logit_bias=bias, response_format=form))
    answers = generate(*model, [prompt] * COUNT, requests, max_rows=16)
    finished = 0
    for schema, (answer,) in zip(asked, answers, strict=True):
        assert answer.finish_reason in ("stop", "length"), answer.error
        if answer.finish_reason == "stop":
            finished += 1
            jsonschema.Draft202012Validator(
                schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
            ).validate(json.loads(answer.text))
    print(f"{finished} of {COUNT} finished")
    assert finished > 0.95 * COUNT


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "uniqueItems": True},
        {"not": {"type": "string"}},
        {"if": {"type": "string"}, "then": {"maxLength": 3}},
        {"type": "array", "contains": {"type": "integer"}},
        {"type": "object", "dependentRequired": {"a": ["b"]}},
        {"type": "object", "propertyNames": {"pattern": "^a"}},
        {"type": "object", "unevaluatedProperties": False},
        {"type": "string", "format": "no such"},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#/$defs/nowhere"},
        {"type": "objekt"},
        {"enum": []},
        False,
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_kept_is_refused(model: Generator, schema: Any) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    with pytest.raises(UsageError, match=r"response_format: cannot be used: .{5}"):
        generate(*model, [[5]], Request(max_tokens=4, response_format=form))


def test_beams_that_are_stuck_give_what_they_have_finished(model: Generator) -> None:
    form = {"type": "choice", "choice": ["a", "b"]}
    (found,) = generate(*model, [[5]], Request(max_tokens=8, num_beams=4, n=2, response_format=form))
    assert {answer.text for answer in found} == {"a", "b"}
    assert {answer.finish_reason for answer in found} == {"stop"}
