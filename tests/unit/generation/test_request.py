"""What is legal, what does not go together, what has no effect."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.generation.request import GenerationRequest, check


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"frequency_penalty": 2.1},
        {"logit_bias": {"3": 101}},
        {"stop": [""]},
        {"sampler_order": ["no such"]},
        {"seed": -1},
        {"n": 0},
        {"early_stopping": "perhaps"},
        {"tempreture": 1},
    ],
    ids=str,
)
def test_illegal_values_are_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        params.check(GenerationRequest, values)
    assert next(iter(values)) in str(caught.value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"max_tokens": 3, "min_tokens": 4}, "min_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"best_of": 2}, "best_of"),
        ({"n": 3, "best_of": 2, "temperature": 1}, "best_of"),
        ({"num_beams": 2, "temperature": 1}, "temperature"),
        ({"num_beams": 2, "n": 3}, "n"),
        ({"num_beams": 2, "logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"sampler_order": ["top_k", "top_k"]}, "sampler_order"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": ["json_object"]}}, "response_format"),
        ({"response_format": {"type": "regex"}}, "response_format"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format"),
        ({"response_format": {"type": "json_object"}, "ignore_eos": True}, "ignore_eos"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(params.check(GenerationRequest, values))
    assert [problem.where for problem in caught.value.problems] == [named]


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({"top_p": 0.5, "seed": 3}, {"top_p", "seed"}),
        ({"num_beams": 2, "top_k": 5}, {"top_k"}),
        ({"length_penalty": 2.0}, {"length_penalty"}),
        ({"logprobs_of": "processed"}, {"logprobs_of"}),
        ({"dry_base": 2.0}, {"dry_base"}),
        ({"temperature": 1.0, "xtc_probability": 0.5, "xtc_threshold": 0.6}, {"xtc_probability"}),
        ({"ignore_eos": True, "min_tokens": 2}, {"min_tokens"}),
        ({"temperature": 1.0, "top_p": 0.5, "seed": 3, "n": 2}, set()),
        ({}, set()),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_has_no_effect_is_told(values: dict[str, Any], idle: set[str]) -> None:
    assert {warning.split()[0] for warning in check(params.check(GenerationRequest, values))} == idle


def test_values_come_from_json_and_from_flags() -> None:
    assert params.check(GenerationRequest, {"logit_bias": {"5": 1}, "stop": "end"}).logit_bias == {5: 1.0}
    texts = {"stop": "a,b", "temperature": "0.5", "response_format": "{type: json_object}"}
    read = params.check(GenerationRequest, params.read_texts(GenerationRequest, texts))
    assert (read.stop, read.temperature, read.response_format) == (("a", "b"), 0.5, {"type": "json_object"})


def test_the_declaration_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'transformers'} & set(sys.modules)"
    code = f"import sys; import tunesmith.generation.request; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)
