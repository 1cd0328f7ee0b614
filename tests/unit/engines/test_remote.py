"""Answers from a server: those of the engine that it runs, with every parameter sent by the server's name or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generators import Generator
from protocol import Server, serving
from tunesmith.engines.remote import Engine
from tunesmith.errors import EngineError, UsageError
from tunesmith.generation import protocol, servers
from tunesmith.generation.decode import generate
from tunesmith.generation.honours import DEFAULTS
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest as Request


@pytest.fixture
def made(generator: Callable[[str], Generator]) -> Generator:
    return generator("llama")


@pytest.fixture(params=[True, False], ids=["vllm", "plain"])
def server(made: Generator, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(*made, vllm=request.param) as running:
        yield running


@pytest.fixture
def vllm(made: Generator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(*made) as running:
        yield running


def opened(made: Generator, server: Server, **options: Any) -> Engine:
    return Engine(Network(made.model).facts, servers.Server.at(server.address, **options))


def told(answers: list[list[Any]]) -> list[Any]:
    return [[(one.text, one.finish_reason, one.token_count) for one in choices] for choices in answers]


PLAIN: list[dict[str, Any]] = [
    {},
    {"temperature": 1.0, "seed": 3},
    {"temperature": 0.7, "seed": 3, "n": 3},
    {"temperature": 1.0, "top_p": 0.5, "seed": 3},
    {"frequency_penalty": 1.5, "presence_penalty": 0.5},
    {"logit_bias": {60: 100}},
    {"stop": ("a", "e")},
]
VLLM: list[dict[str, Any]] = [
    {"temperature": 0.7, "top_k": 5, "top_p": 0.8, "seed": 3},
    {"temperature": 0.7, "min_p": 0.2, "seed": 3},
    {"repetition_penalty": 1.4},
    {"min_tokens": 6},
    {"stop_token_ids": (60, 123, 264)},
    {"ignore_eos": True},
    {"allowed_token_ids": (50, 51)},
    {"sampler_order": ("top_p", "temperature")},
    {"logprobs": True, "top_logprobs": 3},
    {"logprobs": True},
]


@pytest.mark.parametrize("options", PLAIN)
def test_answers_are_those_of_the_servers_engine(
    made: Generator, server: Server, prompts: list[list[int]], options: dict[str, Any]
) -> None:
    request = Request(max_tokens=8, **options)
    found = opened(made, server).generate(prompts[:6], [request] * 6, made.tokenizer)
    here = told(generate(*made, prompts[:6], request))
    if not server.vllm and request.n > 1:  # such a server counts the tokens of all answers together
        assert [[one[:2] for one in choices] for choices in told(found)] == [
            [one[:2] for one in choices] for choices in here
        ]
    else:
        assert told(found) == here
    assert all(one.terms.engine == f"remote ({server.address})" for choices in found for one in choices)


@pytest.mark.parametrize("options", VLLM)
def test_vllm_is_asked_for_more(
    made: Generator, vllm: Server, prompts: list[list[int]], options: dict[str, Any]
) -> None:
    request = Request(max_tokens=8, **options)
    found = opened(made, vllm).generate(prompts[:6], [request] * 6, made.tokenizer)
    here = generate(*made, prompts[:6], request)
    assert told(found) == told(here)
    for theirs, own in zip(found, here, strict=True):
        assert theirs[0].tokens == own[0].tokens
        for mine, one in zip(theirs[0].logprobs, own[0].logprobs, strict=True):
            assert mine.token == one.token
            assert mine.logprob == pytest.approx(one.logprob, abs=1e-4)
            assert [token for token, _ in mine.top] == [token for token, _ in one.top]
        assert theirs[0].stopped_by == own[0].stopped_by


@pytest.mark.parametrize("options", VLLM)
def test_a_plain_server_is_not_asked_for_what_it_does_not_know(
    made: Generator, prompts: list[list[int]], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(*made, vllm=False) as server:
        engine = opened(made, server)
        request = Request(max_tokens=8, **options)
        if set(options) <= {"sampler_order"}:
            request = Request(max_tokens=8, temperature=1.0, **options)
        with pytest.raises(UsageError, match="cannot honour") as caught:
            engine.generate(prompts[:1], [request], made.tokenizer)
        assert "pytorch" in str(caught.value)
        assert server.asked == []


EXAMPLES: dict[str, Any] = {
    "typical_p": 0.5, "top_n_sigma": 1.0, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "xtc_probability": 0.5,
    "xtc_threshold": 0.2, "dry_multiplier": 1.0, "dry_base": 2.0, "dry_allowed_length": 3, "dry_sequence_breakers": ("a",),
    "no_repeat_ngram_size": 2, "bad_words": ("a",), "best_of": 2, "logprobs_of": "processed", "echo": True, "num_beams": 2,
    "length_penalty": 0.5, "early_stopping": True, "response_format": {"type": "json_object"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(DEFAULTS) - set(protocol.VLLM)))
def test_what_vllm_does_not_know_is_refused(made: Generator, vllm: Server, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        opened(made, vllm).generate([[50]], [Request(**{name: EXAMPLES[name]})], made.tokenizer)
    (problem,) = [one for one in caught.value.problems if one.where == name]
    assert problem.hint
    assert "pytorch" in problem.hint
    assert vllm.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 1.0, "min_p": 0.1, "top_p": 0.5},
        {"logit_bias": {50: 1.0}, "repetition_penalty": 1.2},
        {"stop": ("a",), "min_tokens": 2},
        {"repetition_penalty": 3.0},
        {"temperature": 1.0, "sampler_order": ("top_p", "temperature")},
    ],
)
def test_what_vllm_would_do_otherwise_is_refused(made: Generator, vllm: Server, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is honoured only"):
        opened(made, vllm).generate([[50]], [Request(**options)], made.tokenizer)


def test_a_full_server_is_waited_for(made: Generator, vllm: Server) -> None:
    engine = opened(made, vllm)
    vllm.full = [(429, {"Retry-After": "0.01"}), (503, {"Retry-After": "0"}), (503, {})]
    ((answer,),) = engine.generate([[50]], [Request(max_tokens=2)], made.tokenizer)
    assert answer.text
    assert len(vllm.asked) == 4


def test_a_server_that_stays_full_is_told(made: Generator, vllm: Server) -> None:
    engine = opened(made, vllm)
    vllm.full = [(429, {"Retry-After": "0"})] * 20
    with pytest.raises(EngineError, match="refuses, 429: full"):
        engine.generate([[50]], [Request(max_tokens=2)], made.tokenizer)


def test_a_server_that_is_slow_or_gone_is_told(made: Generator, vllm: Server) -> None:
    engine = opened(made, vllm, timeout_s=0.2)
    vllm.delay_s = 1.0
    with pytest.raises(EngineError, match=r"no answer within 0\.2 s"):
        engine.generate([[50]], [Request(max_tokens=2)], made.tokenizer)
    with pytest.raises(EngineError, match="cannot be asked"):
        servers.Server.at("http://127.0.0.1:9/v1")


def test_the_key_goes_to_the_server_and_into_no_message(
    made: Generator, vllm: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(servers.KEY, "not-for-anyone")
    engine = opened(made, vllm)
    vllm.full = [(400, {})]
    with caplog.at_level(0), pytest.raises(EngineError) as caught:
        engine.generate([[50]], [Request(max_tokens=2)], made.tokenizer)
    assert vllm.keys == ["Bearer not-for-anyone"]
    assert "not-for-anyone" not in str(caught.value) + caplog.text + repr(engine._server)


def test_one_of_several_models_is_named(made: Generator, vllm: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm.models = ["other", "tiny"]
    with pytest.raises(UsageError, match="several models"):
        opened(made, vllm)
    monkeypatch.setenv(servers.MODEL, "tiny")
    assert opened(made, vllm).generate([[50]], [Request(max_tokens=2)], made.tokenizer)
    monkeypatch.setenv(servers.MODEL, "tyni")
    with pytest.raises(UsageError, match="no model 'tyni'"):
        opened(made, vllm)


@pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://host/v1", "http://", "http://me:secret@127.0.0.1/v1"])
def test_no_address_is_told(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        servers.Server.at(address)
    assert "secret" not in str(caught.value)
