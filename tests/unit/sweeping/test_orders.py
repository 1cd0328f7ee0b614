"""Parameters carried over to other engines keep the distribution, or are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tunesmith.errors import UsageError
from tunesmith.generation.request import GenerationRequest
from tunesmith.sweeping import orders


def test_min_p_changes_sides_of_temperature_without_changing_what_is_left() -> None:
    """p >= m * max p before temperature T is p' >= m^(1/T) * max p' after it, on 200 random distributions."""
    torch.manual_seed(0)
    request = GenerationRequest(temperature=0.7, min_p=0.05, sampler_order=("min_p", "temperature"))
    found = orders.to_engine(request, "transformers").parameters["min_p"]
    for logits in torch.randn(200, 50, dtype=torch.float64) * 3:
        before = torch.softmax(logits, -1)
        kept_before = before >= 0.05 * before.max()
        after = torch.softmax(logits / 0.7, -1)
        assert torch.equal(kept_before, after >= found * after.max())


def test_what_runs_in_the_same_order_is_carried_over_as_it_is() -> None:
    request = GenerationRequest(temperature=0.7, top_k=40, top_p=0.9, max_tokens=9)
    for engine in ("transformers", "vllm"):
        found = orders.to_engine(request, engine)
        assert found.parameters["temperature"] == 0.7
        assert found.parameters["top_k"] == 40
        assert found.parameters["top_p"] == 0.9
    assert orders.to_engine(request, "transformers").parameters["do_sample"] is True
    assert orders.to_engine(request, "transformers").parameters["max_new_tokens"] == 9


def test_llama_cpp_is_told_our_order() -> None:
    found = orders.to_engine(
        GenerationRequest(temperature=0.7, top_p=0.9, min_p=0.1, repetition_penalty=1.1), "llama.cpp"
    )
    assert found.parameters["samplers"] == ["penalties", "temperature", "top_p", "min_p"]
    assert found.parameters["repeat_penalty"] == 1.1
    assert found.parameters["repeat_last_n"] == -1


def test_defaults_of_the_engine_are_overruled() -> None:
    found = orders.to_engine(GenerationRequest(temperature=1.0), "transformers").parameters
    assert found["top_k"] == 0  # 50 where nothing is said


@pytest.mark.parametrize(
    ("engine", "request_", "message"),
    [
        ("vllm", {"temperature": 0.7, "top_p": 0.9, "min_p": 0.1}, "runs before min_p here"),
        ("vllm", {"temperature": 1.0, "typical_p": 0.5}, "nothing like it"),
        ("vllm", {"temperature": 0.005}, "vLLM raises it"),
        ("vllm", {"logit_bias": {1: 2.0}, "repetition_penalty": 1.2}, "without repetition_penalty"),
        ("transformers", {"frequency_penalty": 0.5}, "it has none"),
        ("transformers", {"temperature": 0.7, "top_p": 0.9, "sampler_order": ("top_p", "temperature")}, "keeps other tokens"),
        ("llama.cpp", {"presence_penalty": 0.5}, "counts the prompt"),
        ("ctranslate2", {"temperature": 1.0, "min_p": 0.1}, "nothing like it"),
        ("llama", {}, "nothing is known of the engine"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_with_the_reason(engine: str, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        orders.to_engine(GenerationRequest(**request_), engine)


def test_at_temperature_1_the_place_of_temperature_does_not_matter() -> None:
    request = GenerationRequest(temperature=1.0, top_p=0.9, sampler_order=("top_p", "temperature"))
    assert orders.to_engine(request, "transformers").parameters["top_p"] == 0.9


def test_greedy_requests_need_no_order() -> None:
    found = orders.to_engine(GenerationRequest(top_p=0.9, min_p=0.1), "ctranslate2").parameters
    assert found["sampling_topk"] == 1


def test_an_engines_own_order_and_defaults_in_our_terms() -> None:
    found = orders.from_engine("llama.cpp", {"n_predict": 20, "temperature": 1.2})
    assert found["sampler_order"] == ["top_k", "top_p", "min_p", "temperature"]
    assert found["max_tokens"] == 20
    assert (found["top_k"], found["top_p"], found["min_p"]) == (40, 0.95, 0.05)
    assert GenerationRequest(**found).temperature == 1.2
    assert "sampler_order" not in orders.from_engine("vllm", {"top_p": 0.9})
    with pytest.raises(UsageError, match="has no counterpart"):
        orders.from_engine("vllm", {"mirostat": 1})


@pytest.mark.parametrize("engine", list(orders.ORDERS))
def test_what_comes_from_an_engine_can_go_back_to_it(engine: str) -> None:
    ours = GenerationRequest(**orders.from_engine(engine, {"temperature": 0.9, "top_k": 30, "top_p": 0.8}))
    back = orders.to_engine(ours, engine).parameters
    assert 0.8 in back.values()
    assert 30 in back.values()
