"""OpenAI's own client, as it is, against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
import pytest
from openai import OpenAI

import tiny_generators
from served import Served, running
from tunesmith import config as configs
from tunesmith.predict import load
from tunesmith.serving import keys
from tunesmith.train import run as runs

_MADE: list[OpenAI] = []
TALK: Any = [{"role": "user", "content": "the bank was here"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 6}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(
    parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | Path]:
    """Bundles of a short run each."""
    root = tmp_path_factory.mktemp("client")
    base = tiny_generators.write(root / "base", positions=4096)
    quick = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("conversations", {**quick, "adapter": "lora", "model.base": str(base)}),
        "translation": ("translations", quick),
        "reviews": ("binary", {}),
    }
    found: dict[str, str | Path] = {}
    for name, (kind, more) in kinds.items():
        config = configs.resolve(keywords=parameters(kind, count=40, out=str(root / name), **more), environment={})
        found[name] = runs.train(config, quiet=True).folder
    return found


@pytest.fixture(scope="module")
def server(
    folders: dict[str, str | Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str, str]]:
    """A server that asks for keys, one that may ask models, and one that may not."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    key = keys.add(file, "tests", ("infer",))
    watcher = keys.add(file, "watcher", ("metrics",))
    with running(folders, keys=str(file)) as found:
        yield found, key, watcher


@pytest.fixture(scope="module")
def client(server: tuple[Served, str, str]) -> OpenAI:
    return asking(server[0], server[1])


def asking(server: Served, key: str = "none", retries: int = 0) -> OpenAI:
    _MADE.append(OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=retries, timeout=60))
    return _MADE[-1]


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """Every client's connections are closed in the end."""
    yield
    while _MADE:
        _MADE.pop().close()


def say(client: OpenAI, **more: Any) -> Any:
    given = {"model": "chat", "messages": TALK, "temperature": 1.0, "seed": 3, "max_tokens": 10, **more}
    return client.chat.completions.create(**given)


def joined(chunks: Any, choice: int = 0) -> str:
    """The text of a choice of a stream."""
    own = [one for chunk in chunks for one in chunk.choices if one.index == choice]
    return "".join(one.delta.content or "" for one in own)


def test_chat(client: OpenAI) -> None:
    answer = say(client)
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0
    assert answer.model_extra["effective_parameters"]["temperature"] == 1.0
    assert answer.model_extra["seed"] == 3
    assert answer.system_fingerprint


def test_every_way_to_limit_tokens(client: OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = say(client, **{"max_tokens": openai.omit, name: 3}, extra_body={"min_tokens": 3})
        assert answer.usage.completion_tokens == 3
        assert answer.choices[0].finish_reason == "length"


def test_streaming(client: OpenAI) -> None:
    whole = say(client)
    chunks = list(say(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert joined(chunks) == whole.choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    reasons = [one.finish_reason for chunk in chunks for one in chunk.choices]
    assert reasons == [None] * (len(reasons) - 1) + [whole.choices[0].finish_reason]
    assert chunks[-1].model_extra["engine"] == "pytorch"


def test_three_answers(client: OpenAI) -> None:
    whole = say(client, n=3)
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    chunks = list(say(client, n=3, stream=True))
    assert [joined(chunks, number) for number in range(3)] == texts


def test_logprobs(client: OpenAI) -> None:
    whole = say(client, logprobs=True, top_logprobs=4)
    entries = whole.choices[0].logprobs.content
    assert len(entries) == whole.usage.completion_tokens
    assert all(len(entry.top_logprobs) == 4 and entry.logprob <= 0 for entry in entries)
    chunks = list(say(client, logprobs=True, top_logprobs=4, stream=True))
    streamed = [
        one for chunk in chunks for choice in chunk.choices if choice.logprobs for one in choice.logprobs.content
    ]
    assert [(one.token, one.bytes, one.logprob) for one in streamed] == [
        (one.token, one.bytes, one.logprob) for one in entries
    ]


def test_stop(client: OpenAI) -> None:
    text = say(client, max_tokens=30).choices[0].message.content
    cut = text[len(text) // 2 :][:2]
    for stop in (cut, [cut, "never written"]):
        answer = say(client, max_tokens=30, stop=stop).choices[0]
        assert answer.message.content == text[: text.index(cut)].rstrip()
        assert answer.finish_reason == "stop"


def test_the_same_seed_gives_the_same_text_whoever_else_asks(client: OpenAI) -> None:
    alone = say(client, max_tokens=20).choices[0].message.content

    def one(number: int) -> str | None:
        if number % 3 == 0:
            return joined(list(say(client, max_tokens=20, stream=True)))
        if number % 3 == 1:
            text: str = say(client, max_tokens=20).choices[0].message.content
            return text
        say(client, seed=number, max_tokens=5 + number, messages=[{"role": "user", "content": "rain " * number}])
        return None

    with ThreadPoolExecutor(6) as pool:
        texts = [text for text in pool.map(one, range(24)) if text is not None]
    assert len(texts) == 16
    assert set(texts) == {alone}


class Review(pydantic.BaseModel):
    mood: Literal["good", "bad"]
    stars: int = pydantic.Field(ge=1, le=5)


def test_answers_keep_to_a_schema(client: OpenAI) -> None:
    for seed in range(4):
        answer = client.chat.completions.parse(
            model="chat", messages=TALK, response_format=Review, temperature=1.0, seed=seed, max_tokens=600
        )
        assert isinstance(answer.choices[0].message.parsed, Review)
    found = say(client, response_format={"type": "json_object"}, max_tokens=600, extra_body={"top_k": 40})
    if found.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(found.choices[0].message.content), dict)


def test_the_clients_own_reader_of_streams(client: OpenAI) -> None:
    asked: Any = {"model": "chat", "messages": TALK, "temperature": 1.0, "seed": 3, "max_tokens": 600}
    with client.chat.completions.stream(**asked, response_format=Review) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    whole = client.chat.completions.parse(**asked, response_format=Review)
    assert final.choices[0].message.parsed == whole.choices[0].message.parsed


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tools(client: OpenAI, choice: Any) -> None:
    more = {"tools": [WEATHER], "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 300}
    answer = say(client, **more).choices[0]
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather"
    assert set(arguments) == {"city", "days"}
    assert 1 <= arguments["days"] <= 9
    chunks = list(say(client, **more, stream=True))
    (streamed,) = [one for chunk in chunks for each in chunk.choices for one in each.delta.tool_calls or ()]
    assert streamed.function.arguments == call.function.arguments
    result = {"role": "tool", "tool_call_id": call.id, "content": "20 degrees"}
    then = say(client, messages=[*TALK, answer.message, result], tools=[WEATHER])
    assert then.choices[0].message.content is not None


def test_parameters_of_ours(client: OpenAI) -> None:
    answer = say(client, extra_body={"top_k": 1, "min_p": 0.1, "sampler_order": ["min_p", "temperature"]})
    assert answer.model_extra["effective_parameters"]["min_p"] == 0.1
    assert answer.model_extra["sampler_order"][-2:] == ["min_p", "temperature"]
    beams = say(client, temperature=0, seed=openai.omit, n=2, extra_body={"num_beams": 3})
    assert len(beams.choices) == 2


def test_completions(client: OpenAI) -> None:
    answer = client.completions.create(
        model="chat",
        prompt=["the bank", "rain"],
        max_tokens=5,
        temperature=1.0,
        seed=1,
        echo=True,
        logprobs=3,
        best_of=2,
    )
    assert [choice.text.startswith(text) for choice, text in zip(answer.choices, ("the bank", "rain"), strict=True)] == [True, True]  # fmt: skip
    assert answer.choices[0].logprobs.token_logprobs[0] is None  # type: ignore[union-attr, index]
    ids = client.completions.create(model="chat", prompt=[[5, 6, 7], [8, 9]], max_tokens=4)
    assert len(ids.choices) == 2
    chunks = list(
        client.completions.create(model="chat", prompt="rain", max_tokens=5, temperature=1.0, seed=1, stream=True)
    )
    whole = client.completions.create(model="chat", prompt="rain", max_tokens=5, temperature=1.0, seed=1)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    translated = client.completions.create(model="translation", prompt="soup bread")
    assert translated.choices[0].finish_reason in ("stop", "length")


def test_models(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"chat", "translation", "reviews"}
    assert client.models.retrieve("chat").owned_by == "tunesmith"


def test_bad_requests(client: OpenAI) -> None:
    def code(**more: Any) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            say(client, **more)
        assert caught.value.type == "invalid_request_error"
        return caught.value.code, caught.value.param

    assert code(temperature=-1) == ("invalid_value", "temperature")
    assert code(extra_body={"top_kk": 1}) == ("unknown_parameter", "top_kk")
    assert code(store=True) == ("unsupported_parameter", "store")
    assert code(messages=[{"role": "user", "content": "a b " * 4000}]) == ("context_length_exceeded", "messages")
    assert code(model="translation") == ("unsupported_model", "model")
    assert code(n=2, temperature=0) == ("invalid_value", "n")
    dropped = say(client, store=True, extra_body={"on_unsupported": "drop"})
    assert dropped.model_extra["dropped_parameters"] == ["store"]


def test_who_asks(server: tuple[Served, str, str]) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        say(asking(server[0], "ts-wrong"))
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.PermissionDeniedError) as forbidden:
        say(asking(server[0], server[2]))
    assert forbidden.value.code == "missing_scope"


def test_what_is_not_there(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        say(client, model="chatt")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_too_many_requests_are_tried_again(folders: dict[str, str | Path]) -> None:
    with running({"chat": folders["chat"]}, **{"key-requests-per-minute": 60}) as server:
        while server.get("/v1/models").status == 200:
            pass
        with pytest.raises(openai.RateLimitError) as caught:
            say(asking(server))
        assert caught.value.code == "rate_limit_exceeded"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert say(asking(server, retries=3)).choices[0].message.content is not None


@contextmanager
def busy(server: Served, requests: int) -> Iterator[threading.Event]:
    """So many requests under way, each of which lasts until it is told to end."""
    end, client = threading.Event(), asking(server)

    def ask() -> None:
        stream = say(client, max_tokens=3000, extra_body={"min_tokens": 3000}, stream=True)
        for _ in stream:
            if end.is_set():
                stream.close()
                return

    threads = [threading.Thread(target=ask) for _ in range(requests)]
    worker = server.serving.models.find("chat").worker
    for number, thread in enumerate(threads, 1):  # one after the other, as few may wait
        thread.start()
        while worker.load.running + worker.load.waiting < number or (number == 1 and not worker.load.running):
            assert thread.is_alive()
    try:
        yield end
    finally:
        end.set()
        for thread in threads:
            thread.join(60)


def test_a_full_server_is_asked_again(folders: dict[str, str | Path]) -> None:
    with running({"chat": folders["chat"]}, **{"max-rows": 1, "max-waiting": 1}) as server, busy(server, 2) as end:
        with pytest.raises(openai.InternalServerError) as caught:
            say(asking(server))
        assert (caught.value.status_code, caught.value.code) == (503, "server_full")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        threading.Timer(0.5, end.set).start()
        assert say(asking(server, retries=10)).choices[0].message.content is not None


def test_a_server_that_stops(folders: dict[str, str | Path]) -> None:
    with running({"chat": folders["chat"]}) as server:
        server.serving.gate.stopping = True
        with pytest.raises(openai.InternalServerError) as caught:
            say(asking(server))
        assert (caught.value.status_code, caught.value.code) == (503, "server_stopping")
        server.serving.gate.stopping = False
        server.serving.loading = True
        with pytest.raises(openai.InternalServerError) as caught:
            say(asking(server), model="soon")
        assert caught.value.code == "model_loading"


def test_a_server_computes_for_another_program_of_ours(
    folders: dict[str, str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked: Any = {"max_tokens": 6, "frequency_penalty": 0.5, "stop": ["zz"]}
    with running({"chat": folders["chat"]}) as server:
        there = load(folders["chat"], f"{server.url}/v1").answers(["the bank was here"], **asked)
    here = load(folders["chat"], "pytorch").answers(["the bank was here"], **asked)
    assert [one["answer"] for one in there] == [one["answer"] for one in here]
