"""Requests in the words of programs behind an address."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunesmith.errors import UsageError
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.sweeping import said


@pytest.mark.parametrize(
    ("program", "request_", "given", "body"),
    [
        ("openai", {"temperature": 0.7, "max_tokens": 9}, (), {"temperature": 0.7, "max_tokens": 9}),
        ("openai", {}, ("temperature", "top_p"), {"temperature": 0.0, "top_p": 1.0}),
        ("vllm", {"top_k": 5, "min_p": 0.1, "stop": ("a",)}, (), {"top_k": 5, "min_p": 0.1, "stop": ["a"]}),
        ("llama.cpp", {"repetition_penalty": 1.2, "max_tokens": 4}, (), {"repeat_penalty": 1.2, "max_tokens": 4}),
        ("llama.cpp", {"logit_bias": {7: 1.0}}, (), {"logit_bias": {"7": 1.0}}),
        ("transformers", {"temperature": 0.7, "top_p": 0.9}, (), {"temperature": 0.7, "top_p": 0.9}),
    ],
)
def test_the_same_numbers_are_said_alone(
    program: str, request_: dict[str, Any], given: tuple[str, ...], body: dict[str, Any]
) -> None:
    assert said.same(program, Request(**request_), given) == body


def test_transformers_takes_the_rest_in_a_config_that_holds_a_limit() -> None:
    told = said.same("transformers", Request(top_k=5, max_tokens=8), ())
    assert told["max_tokens"] == 8
    assert json.loads(told["generation_config"]) == {"top_k": 5, "max_new_tokens": 8}
    told = said.carried("transformers", Request(temperature=0.7, top_p=0.9))
    assert (told["temperature"], told["top_p"]) == (0.7, 0.9)
    within = json.loads(told["generation_config"])
    assert within["do_sample"] is True
    assert within["top_k"] == 0
    assert within["max_new_tokens"] == 1024


@pytest.mark.parametrize(
    ("program", "request_", "reason"),
    [
        ("openai", {"top_k": 5}, "openai refuses top_k: it has nothing like it"),
        ("vllm", {"typical_p": 0.5}, "vllm refuses typical_p"),
        ("vllm", {"sampler_order": ("top_p", "temperature")}, "its order is its own: temperature, min_p, top_k, top_p"),
        ("transformers", {"frequency_penalty": 1.0}, "transformers refuses frequency_penalty: it has none"),
        ("transformers", {"response_format": {"type": "json_object"}}, "it knows no json_object"),
        ("llama.cpp", {"response_format": {"type": "regex", "regex": "a"}}, "it knows no regex"),
    ],
)
def test_what_is_not_there_is_refused_and_never_left_out(program: str, request_: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        said.same(program, Request(**request_), ())


def test_what_is_carried_over_is_complete_and_in_our_order() -> None:
    told = said.carried("llama.cpp", Request(temperature=1.2, top_p=0.9))
    assert told["samplers"] == ["penalties", "temperature", "top_p"]
    assert (told["top_k"], told["min_p"], told["repeat_penalty"]) == (0, 0.0, 1.0)
    told = said.carried("vllm", Request(temperature=0.7, min_p=0.05, sampler_order=("min_p", "temperature")))
    assert told["min_p"] == pytest.approx(0.05 ** (1 / 0.7))
    assert said.carried("openai", Request(temperature=0.7))["top_p"] == 1.0


@pytest.mark.parametrize(
    ("program", "request_", "reason"),
    [
        ("openai", {"temperature": 0.7, "top_p": 0.9}, "top_p: 0.9 is honoured only with temperature 0 or 1"),
        ("vllm", {"temperature": 0.7, "top_p": 0.9, "min_p": 0.1}, "runs before"),
        ("llama.cpp", {"frequency_penalty": 1.0}, "counts the prompt's tokens too"),
    ],
)
def test_what_would_mean_something_else_is_not_carried_over(
    program: str, request_: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        said.carried(program, Request(**request_))


def test_schemas_go_along_with_the_name_that_the_protocol_wants() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    told = said.same("vllm", Request(response_format=form), ())
    assert told["response_format"]["json_schema"] == {"name": "answer", "schema": {"type": "object"}}
    assert said.carried("vllm", Request(response_format=form))["response_format"] == told["response_format"]
