"""Chat completions in OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from served import Served

URL = "/v1/chat/completions"
ASKED = {"model": "chat", "messages": [{"role": "user", "content": "the bank was here"}]}
DRAWN = {**ASKED, "temperature": 1.0, "seed": 5, "max_tokens": 12, "min_tokens": 12}


def test_the_answer_is_the_models_own_with_everything_that_is_told_of_it(writing: Served) -> None:
    reply = writing.post(URL, {**DRAWN, "sampler_order": ["top_k", "temperature"], "top_k": 50})
    assert reply.status == 200, reply.body
    answer = reply.body
    asked = {name: DRAWN[name] for name in ("temperature", "seed", "max_tokens", "min_tokens")}
    asked.update(top_k=50, sampler_order=["top_k", "temperature"])
    worker = writing.serving.models.find("chat").worker
    own = worker.between(lambda built: built.models["chat"].answers(["the bank was here"], **asked))[0]
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": own["answer"], "refusal": None}
    assert answer["choices"][0]["finish_reason"] == own["finish_reason"] == "length"
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    assert answer["seed"] == 5
    assert answer["effective_parameters"]["top_k"] == 50
    assert answer["sampler_order"][-2:] == ["top_k", "temperature"]
    assert answer["engine"] == "pytorch"
    assert answer["system_fingerprint"].startswith("fp_")
    assert answer["usage"]["completion_tokens"] == 12
    assert answer["usage"]["total_tokens"] == 12 + answer["usage"]["prompt_tokens"]


def test_what_has_no_effect_is_told(writing: Served) -> None:
    reply = writing.post(URL, {**ASKED, "max_tokens": 2, "top_p": 0.5})
    assert reply.body["warnings"] == ["top_p has no effect: temperature is 0, so the likeliest token is taken"]
    assert reply.body["effective_parameters"]["temperature"] == 0


def test_a_known_beginning_is_counted_as_such(writing: Served) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "rain and snow " * 20}], "max_tokens": 2}
    first, again = (writing.post(URL, asked).body["usage"] for _ in range(2))
    assert first["prompt_tokens"] == again["prompt_tokens"]
    assert first["prompt_tokens_details"]["cached_tokens"] < again["prompt_tokens_details"]["cached_tokens"]


def test_log_probabilities_spell_the_text(writing: Served) -> None:
    choice = writing.post(URL, {**DRAWN, "logprobs": True, "top_logprobs": 3}).body["choices"][0]
    entries = choice["logprobs"]["content"]
    assert len(entries) == 12
    spelt = b"".join(bytes(entry["bytes"]) for entry in entries).decode("utf-8", "replace")
    assert spelt.strip() == choice["message"]["content"]
    assert all(len(entry["top_logprobs"]) == 3 for entry in entries)
    assert all(entry["top_logprobs"][0]["logprob"] >= entry["logprob"] for entry in entries)


@pytest.mark.parametrize("more", [{}, {"n": 3}, {"logprobs": True}, {"stop": ["e"]}, {"num_beams": 2, "temperature": 0, "seed": None}])  # fmt: skip
def test_a_stream_adds_up_to_the_answer(writing: Served, more: dict[str, Any]) -> None:
    asked = {**DRAWN, **more}
    whole = writing.post(URL, asked).body
    events = writing.events(URL, {**asked, "stream": True, "stream_options": {"include_usage": True}})
    assert whole["usage"]["completion_tokens"] == events[-1]["usage"]["completion_tokens"]
    assert events[-1]["choices"] == []
    assert events[-1]["effective_parameters"] == whole["effective_parameters"]
    assert all(event["usage"] is None for event in events[:-1])
    for choice in whole["choices"]:
        own = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
        assert own[0]["delta"]["role"] == "assistant"
        assert "".join(one["delta"].get("content") or "" for one in own) == choice["message"]["content"]
        assert [one["finish_reason"] for one in own][-1] == choice["finish_reason"]
        assert {one["finish_reason"] for one in own[:-1]} == {None}
        known = [entry for one in own if one["logprobs"] for entry in one["logprobs"]["content"]]
        assert [entry["token"] for entry in known] == [
            entry["token"] for entry in (choice["logprobs"] or {"content": []})["content"]
        ]


def test_the_last_event_tells_how_the_answer_came_about(writing: Served) -> None:
    events = writing.events(URL, {**DRAWN, "stream": True})
    assert [event for event in events if "effective_parameters" in event] == events[-1:]
    assert "usage" not in events[-1]
    assert events[-1]["seed"] == 5


def test_a_refusal_comes_before_a_stream(writing: Served) -> None:
    asked = {**ASKED, "messages": [{"role": "user", "content": "a b " * 5000}], "stream": True}
    reply = writing.post(URL, asked)
    assert reply.status == 400
    assert reply.body["error"]["code"] == "context_length_exceeded"


def test_what_is_too_long_is_refused_with_the_counts(writing: Served) -> None:
    error = writing.post(URL, {**ASKED, "messages": [{"role": "user", "content": "a b " * 3000}]}).body["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "4096" in error["message"]


def test_what_is_certainly_too_long_is_never_tokenised(writing: Served) -> None:
    served = writing.serving.models.find("chat")
    before = served.worker.between(lambda built: built.scheduler.counts)
    error = writing.post(URL, {**ASKED, "messages": [{"role": "user", "content": "x" * 190_000}]}).body["error"]
    assert error["code"] == "context_length_exceeded"
    assert "190,000 letters" in error["message"]
    assert served.worker.between(lambda built: built.scheduler.counts) == before


def test_openai_fields_without_effect_are_taken(writing: Served) -> None:
    nothing = {"store": False, "modalities": ["text"], "service_tier": "auto", "functions": None, "metadata": {}}
    reply = writing.post(URL, {**ASKED, "max_tokens": 2, **nothing, "user": "someone"})
    assert reply.status == 200, reply.body
    assert "dropped_parameters" not in reply.body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", True),
        ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]),
        ("reasoning_effort", "high"),
        ("service_tier", "flex"),
        ("prediction", {"type": "content", "content": "a"}),
        ("web_search_options", {}),
        ("function_call", "auto"),
        ("functions", [{"name": "f"}]),
        ("metadata", {"a": "b"}),
    ],
)
def test_openai_fields_that_cannot_be_honoured(writing: Served, name: str, value: Any) -> None:
    error = writing.post(URL, {**ASKED, name: value}).body["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", name)
    dropped = writing.post(URL, {**ASKED, name: value, "on_unsupported": "drop", "max_tokens": 2})
    assert dropped.body["dropped_parameters"] == [name]


def test_several_wrong_fields_are_told_each_once(writing: Served) -> None:
    error = writing.post(URL, {**ASKED, "store": True, "audio": {}}).body["error"]
    assert [problem["param"] for problem in error["problems"]] == ["store", "audio"]
    assert error["message"].count("store is not supported") == 1


def test_unknown_names_everywhere(writing: Served) -> None:
    def wrong(**more: Any) -> Any:
        error = writing.post(URL, {**ASKED, **more}).body["error"]
        assert error["code"] == "unknown_parameter", error
        return error["param"], error["message"]

    assert wrong(temprature=1) == ("temprature", "unknown parameter 'temprature' (did you mean 'temperature'?)")
    assert wrong(stream=True, stream_options={"include_usages": True})[0] == "stream_options.include_usages"
    messages = [{"role": "user", "contents": "a", "content": "b"}]
    assert wrong(messages=messages)[0] == "messages[0].contents"


def test_options_of_a_stream_that_is_none(writing: Served) -> None:
    error = writing.post(URL, {**ASKED, "stream_options": {"include_usage": True}}).body["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "stream_options")


@pytest.mark.parametrize(
    ("messages", "code", "where"),
    [
        ([], "invalid_value", "messages"),
        (["a"], "invalid_value", "messages[0]"),
        ([{"role": "usr", "content": "a"}], "invalid_value", "messages[0].role"),
        ([{"role": "user"}], "invalid_value", "messages[0].content"),
        ([{"role": "user", "content": 5}], "invalid_value", "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "unsupported_parameter", "messages[0].content[0]"),
        ([{"role": "user", "content": "a", "name": "b"}], "unsupported_parameter", "messages[0].name"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "invalid_value", "messages"),
    ],
)  # fmt: skip
def test_messages_that_cannot_be_answered(writing: Served, messages: Any, code: str, where: str) -> None:
    reply = writing.post(URL, {**ASKED, "messages": messages})
    assert reply.status == 400
    assert (reply.body["error"]["code"], reply.body["error"]["param"]) == (code, where), reply.body


def test_content_in_parts_and_the_developer(writing: Served) -> None:
    parts = [{"type": "text", "text": "the bank "}, {"type": "text", "text": "was here"}]
    spoken = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "the bank was here"}]
    first, second = (writing.post(URL, {**DRAWN, "messages": messages}).body for messages in (spoken, told))
    assert first["choices"] == second["choices"]
    assert first["usage"]["prompt_tokens"] == second["usage"]["prompt_tokens"]


def test_other_tasks_are_refused_with_the_route_that_fits(writing: Served) -> None:
    translates = writing.post(URL, {**ASKED, "model": "translation"}).body["error"]
    assert (translates["code"], translates["param"]) == ("unsupported_task", "model")
    assert "/v1/completions" in translates["message"]
    classifies = writing.post(URL, {**ASKED, "model": "reviews"}).body["error"]
    assert "/v1/predict/reviews" in classifies["message"]
    assert "/v1/completions" not in classifies["message"]


def test_an_answer_that_its_time_ends(writing: Served) -> None:
    asked = {**DRAWN, "max_tokens": 3000, "min_tokens": 3000, "time": 0.5}
    answer = writing.post(URL, asked).body
    assert answer["choices"][0]["finish_reason"] == "length"
    assert 0 < answer["usage"]["completion_tokens"] < 3000
    assert any("time" in warning for warning in answer["warnings"])


def test_an_answer_that_cannot_go_on(writing: Served) -> None:
    asked = {**ASKED, "allowed_token_ids": [30], "bad_words": ["a"], "logit_bias": {}, "response_format": {"type": "regex", "regex": "z"}}  # fmt: skip
    error = writing.post(URL, asked).body["error"]
    assert (error["code"], error["type"]) == ("invalid_value", "invalid_request_error")
    assert "cannot go on" in error["message"]


def test_answers_keep_to_a_schema(writing: Served) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}, "stars": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["mood", "stars"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "review", "strict": True, "schema": schema}}
    asked = {**ASKED, "temperature": 1.0, "seed": 2, "max_tokens": 400, "n": 4, "response_format": form}
    for choice in writing.post(URL, asked).body["choices"]:
        assert choice["finish_reason"] == "stop"
        found = json.loads(choice["message"]["content"])
        assert found["mood"] in ("good", "bad")
        assert found["stars"] in range(1, 6)
