"""Parameters that an engine does not honour: refused, or dropped and told of. Engines that write whole answers only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Served, running

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "the bank"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def translated(bundles: Callable[..., Path]) -> Iterator[Served]:
    """A server whose model CTranslate2 computes."""
    pytest.importorskip("ctranslate2")
    from tunesmith import exporting

    more = {"train.epochs": 1, "model.max_length": 96, "request.max_tokens": 8, "task.report_rows": 1}
    folder = bundles("conversations", adapter="lora", **more)
    exporting.export(folder, "ctranslate2", options={"precision": "fp32"})
    with running({"chat": folder}, engine="ctranslate2") as server:
        yield server


def test_what_the_engine_does_not_honour_is_refused(translated: Served) -> None:
    error = translated.post(CHAT, {**ASKED, "min_p": 0.2, "temperature": 1.0}).body["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "min_p")
    assert "pytorch" in error["message"]


def test_or_dropped_and_told_of(translated: Served) -> None:
    asked = {**ASKED, "min_p": 0.2, "typical_p": 0.5, "temperature": 1.0, "colour": "red", "on_unsupported": "drop"}
    reply = translated.post(CHAT, asked)
    assert reply.status == 200, reply.body
    assert sorted(reply.body["dropped_parameters"]) == ["colour", "min_p", "typical_p"]
    assert reply.body["effective_parameters"]["min_p"] == 0
    assert reply.body["engine"] == "ctranslate2"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_whole_answers_that_are_not_there_in_time(
    translated: Served, monkeypatch: pytest.MonkeyPatch, path: str, stream: bool
) -> None:
    engine = type(translated.serving.models.find("chat").model.engine)
    plain, go = engine.write, threading.Event()
    monkeypatch.setattr(engine, "write", lambda *given: (go.wait(20), plain(*given))[1])
    asked = ASKED if path == CHAT else {"prompt": "the bank", "max_tokens": 4}
    began = time.monotonic()
    reply = translated.post(path, {**asked, "stream": stream, "time": 0.3})
    assert (reply.status, reply.body["error"]["code"]) == (408, "own_time_passed")
    assert time.monotonic() - began < 15
    go.set()
    assert translated.serving.gate.inside == 0


def test_calls_that_cannot_be_forced(translated: Served) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = {**ASKED, "tools": tools, "tool_choice": "required"}
    error = translated.post(CHAT, asked).body["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "tool_choice")
    dropped = translated.post(CHAT, {**asked, "on_unsupported": "drop"})
    assert dropped.status == 200 or dropped.body["error"]["code"] == "context_length_exceeded"


def test_whole_answers_as_a_stream(translated: Served) -> None:
    for path, asked in ((CHAT, ASKED), (COMPLETIONS, {"prompt": ["the bank", "rain"], "max_tokens": 4})):
        whole = translated.post(path, asked).body
        events = translated.events(path, {**asked, "stream": True, "stream_options": {"include_usage": True}})
        assert events[-1]["usage"] == whole["usage"]
        assert whole["usage"]["completion_tokens"] > 0
        for choice in whole["choices"]:
            own = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
            text = choice["message"]["content"] if path == CHAT else choice["text"]
            assert (
                "".join((one.get("delta") or one).get("content" if path == CHAT else "text") or "" for one in own)
                == text
            )


def test_a_prompt_as_it_is(translated: Served) -> None:
    reply = translated.post(COMPLETIONS, {"prompt": "the bank", "max_tokens": 4}).body
    tokenizer = translated.serving.models.find("chat").model.tokenizer
    assert reply["usage"]["prompt_tokens"] == len(tokenizer("the bank")["input_ids"])
