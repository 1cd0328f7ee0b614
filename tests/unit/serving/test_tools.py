"""Tools in chat: told to the model, held to by a grammar, and called in answers, whole and as streams."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from served import Served
from tunesmith.serving import tools
from tunesmith.serving.refusal import Refusal

URL = "/v1/chat/completions"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
        "$defs": {"city": {"type": "string", "maxLength": 5}},
    },
}
CLOCK = {"name": "get-time"}
TOOLS = [{"type": "function", "function": WEATHER}, {"type": "function", "function": CLOCK}]
ASKED = {
    "model": "chat",
    "messages": [{"role": "user", "content": "How warm is it in Paris?"}],
    "tools": TOOLS,
    "temperature": 1.0,
    "seed": 1,
    "max_tokens": 400,
}


def checked(call: dict[str, Any]) -> str:
    """The name of a call, whose arguments are right."""
    function = call["function"]
    schema = {"get_weather": WEATHER["parameters"], "get-time": {"maxProperties": 0}}[function["name"]]
    jsonschema.validate(json.loads(function["arguments"]), schema)
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    return str(function["name"])


@pytest.mark.parametrize("seed", range(4))
def test_one_call_is_forced(writing: Served, seed: int) -> None:
    asked = {**ASKED, "seed": seed, "tool_choice": "required", "parallel_tool_calls": False}
    reply = writing.post(URL, asked)
    assert reply.status == 200, reply.body
    choice = reply.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert len(choice["message"]["tool_calls"]) == 1
    checked(choice["message"]["tool_calls"][0])
    assert "warnings" not in reply.body


@pytest.mark.parametrize("name", ["get_weather", "get-time"])
def test_a_named_function_is_called(writing: Served, name: str) -> None:
    asked = {**ASKED, "tool_choice": {"type": "function", "function": {"name": name}}, "n": 3}
    for choice in writing.post(URL, asked).body["choices"]:
        assert [checked(call) for call in choice["message"]["tool_calls"]] == [name]


def test_allowed_tools(writing: Served) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get-time"}}]}
    asked = {**ASKED, "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}, "parallel_tool_calls": False}
    (call,) = writing.post(URL, asked).body["choices"][0]["message"]["tool_calls"]
    assert checked(call) == "get-time"


def test_several_calls_at_once(writing: Served) -> None:
    """The model may not end before its tokens do; whole calls count, and the part of one stays text, which is told."""
    allowed = {"type": "function", "function": CLOCK}
    asked = {**ASKED, "tools": [allowed], "tool_choice": "required", "max_tokens": 150, "min_tokens": 150}
    answer = writing.post(URL, asked).body
    message = answer["choices"][0]["message"]
    assert len(message["tool_calls"]) > 1
    assert {checked(call) for call in message["tool_calls"]} == {"get-time"}
    assert len({call["id"] for call in message["tool_calls"]}) == len(message["tool_calls"])
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["warnings"] == ["what looks like a call of a tool stays text: it is not finished"]
    assert message["content"].startswith("<tool_call>")


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_a_stream_has_the_same_calls(writing: Served, choice: str) -> None:
    asked = {**ASKED, "tool_choice": choice, "parallel_tool_calls": False, "logprobs": True}
    if choice == "auto":
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["a"]}}}
    whole = writing.post(URL, {**asked, "n": 4}).body
    events = writing.events(URL, {**asked, "n": 4, "stream": True})
    for one in whole["choices"]:
        own = [entry for event in events for entry in event["choices"] if entry["index"] == one["index"]]
        calls = [call for entry in own for call in entry["delta"].get("tool_calls", ())]
        assert [call["index"] for call in calls] == list(range(len(calls)))
        assert [call["function"] for call in calls] == [
            call["function"] for call in one["message"].get("tool_calls", ())
        ]
        assert "".join(entry["delta"].get("content") or "" for entry in own) == (one["message"]["content"] or "")
        assert own[-1]["finish_reason"] == one["finish_reason"]
        known = [entry for part in own if part["logprobs"] for entry in part["logprobs"]["content"]]
        assert len(known) == len(one["logprobs"]["content"])


def test_auto_finds_calls_in_what_the_model_writes(writing: Served) -> None:
    """A grammar of the caller's has the tiny model write what a trained one would."""
    said = f"Let me see.\n{tools.call('get_weather', {'city': 'Paris', 'unit': 'C'})}"
    wrong = f"{said}\n<tool_call>\n{{get_weather}}\n</tool_call>"
    for text, calls in ((said, 1), (wrong, 1), ("It is warm.", 0)):
        asked = {**ASKED, "tool_choice": "auto", "response_format": None}
        model = writing.serving.models.find("chat").model
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        found = _forced(writing, asked, ids)
        message, stream = found["choices"][0]["message"], found["stream"]
        assert len(message.get("tool_calls", ())) == calls
        assert "".join(stream) == (message["content"] or "")
        assert found.get("warnings", []) == (
            ["what looks like a call of a tool stays text: it is no JSON object with a name and arguments"]
            if text == wrong
            else []
        )
    assert message["content"] == "It is warm."


def _forced(writing: Served, asked: dict[str, Any], ids: list[int]) -> dict[str, Any]:
    """The answer, whole and streamed, of a model that can only write these tokens."""
    served = writing.serving.models.find("chat")
    end = min(served.model.engine.facts.ends)
    network = served.model.engine._base.network.backbone.model
    hook = network.lm_head.register_forward_hook(_Says([*ids, end], len(network.lm_head.weight)))
    try:
        plain = {**asked, "temperature": 0, "seed": None, "max_tokens": len(ids) + 1}
        events = writing.events(URL, {**plain, "stream": True})
        hook.remove()
        hook = network.lm_head.register_forward_hook(_Says([*ids, end], len(network.lm_head.weight)))
        whole = writing.post(URL, plain).body
    finally:
        hook.remove()
    texts = [entry["delta"].get("content") or "" for event in events for entry in event["choices"]]
    return {**whole, "stream": texts}


class _Says:
    """The logits of a model that writes some tokens one after another, whatever it reads."""

    def __init__(self, ids: list[int], size: int) -> None:
        self._left, self._size = list(ids), size

    def __call__(self, module: Any, inputs: Any, logits: Any) -> Any:
        import torch

        return torch.nn.functional.one_hot(torch.full(logits.shape[:-1], self._left.pop(0)), self._size) * 100.0


def test_a_conversation_with_calls_and_results(writing: Served) -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How warm is it?"},
        {"role": "assistant", "content": None, "tool_calls": [called], "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "c1", "content": "20 degrees"},
        {"role": "user", "content": "And tomorrow?"},
    ]
    plain = [
        messages[1],
        {"role": "assistant", "content": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'},
        {
            "role": "user",
            "content": '<tool_response>\n{"name": "get_weather", "content": "20 degrees"}\n</tool_response>\nAnd tomorrow?',
        },
    ]  # fmt: skip
    system = tools.read(TOOLS, "auto", None).system([messages[0]], None)
    asked = {**ASKED, "tool_choice": "auto", "max_tokens": 9}
    first = writing.post(URL, {**asked, "messages": messages})
    assert first.status == 200, first.body
    second = writing.post(URL, {**asked, "messages": [*system, *plain], "tools": None, "tool_choice": None})
    assert first.body["usage"]["prompt_tokens"] == second.body["usage"]["prompt_tokens"]
    assert first.body["choices"][0]["message"]["content"] == second.body["choices"][0]["message"]["content"]


def test_no_choice_is_no_tools(writing: Served) -> None:
    asked = {**ASKED, "max_tokens": 4}
    without = writing.post(URL, {**asked, "tools": None}).body["usage"]["prompt_tokens"]
    assert writing.post(URL, {**asked, "tool_choice": "none"}).body["usage"]["prompt_tokens"] == without
    assert writing.post(URL, {**asked, "tool_choice": "auto"}).body["usage"]["prompt_tokens"] > without


def test_the_bundles_own_system_message_stays() -> None:
    found = tools.read(TOOLS, None, None).system([{"role": "user", "content": "a"}], "Be kind.")
    assert [message["role"] for message in found] == ["system", "user"]
    assert found[0]["content"].startswith("Be kind.\n\n")
    assert '"get_weather"' in found[0]["content"]
    assert "strict" not in found[0]["content"]


@pytest.mark.parametrize(
    ("more", "code", "where"),
    [
        ({"tools": None, "tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"tools": [], "parallel_tool_calls": True}, "invalid_value", "parallel_tool_calls"),
        ({"tool_choice": "always"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "get_wether"}}}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "a"}}}, "invalid_value", "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "unsupported_parameter", "tools[0].type"),
        ({"tools": ["get_weather"]}, "invalid_value", "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "invalid_value", "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameter": {}}}]}, "unknown_parameter", "tools[0].function.parameter"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}]}, "invalid_value", "tools[0].function.parameters"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "invalid_value", "tools[1].function.name"),
        ({"tool_choice": "required", "response_format": {"type": "json_object"}}, "invalid_value", "response_format"),
        ({"tool_choice": "auto", "response_format": {"type": "regex", "regex": "a"}}, "invalid_value", "response_format"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "a"}]}, "invalid_value", "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "invalid_value", "messages[1].tool_calls[0]"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "b", "arguments": "["}}]}]}, "invalid_value", "messages[1].tool_calls[0].function.arguments"),
        ({"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "a", "parameters": {"properties": {"b": {"type": "nothing"}}}}}]}, "invalid_value", "tools"),
    ],
)  # fmt: skip
def test_tools_that_cannot_be_used(writing: Served, more: dict[str, Any], code: str, where: str) -> None:
    reply = writing.post(URL, {**ASKED, **more})
    assert reply.status == 400, reply.body
    assert (reply.body["error"]["code"], reply.body["error"]["param"]) == (code, where), reply.body


def test_the_nearest_tool_is_named() -> None:
    with pytest.raises(Refusal, match="did you mean 'get_weather'"):
        tools.read(TOOLS, {"type": "function", "function": {"name": "get_wether"}}, None)
