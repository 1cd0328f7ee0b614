"""The forms in which people keep conversations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tunesmith.text import conversations
from tunesmith.text.cells import RowError

ASKED = {"role": "user", "content": "Hi"}
ANSWERED = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be kind"}

GOOD: list[tuple[dict[str, Any], list[dict[str, str]]]] = [
    ({"messages": [SYSTEM, ASKED, {**ANSWERED, "dialog_act": {"a": 1}}]}, [SYSTEM, ASKED, ANSWERED]),
    ({"messages": json.dumps([ASKED, ANSWERED])}, [ASKED, ANSWERED]),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}, ANSWERED]}, [ASKED, ANSWERED]),
    ({"messages": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": "Be kind"}, [SYSTEM, ASKED, ANSWERED]),
    ({"messages": [{"role": "developer", "content": "Be kind"}, ASKED]}, [SYSTEM, ASKED]),
    ({"instruction": "Hi", "input": "", "output": "Hello"}, [ASKED, ANSWERED]),
    ({"instruction": "Say", "input": "Hi", "output": "Hello"}, [{"role": "user", "content": "Say\n\nHi"}, ANSWERED]),
    ({"instruction": "Hi", "output": "Hello", "history": [["Hi", "Hello"]], "system": "Be kind"}, [SYSTEM, ASKED, ANSWERED, ASKED, ANSWERED]),
    ({"prompt": "Hi", "completion": "Hello"}, [ASKED, ANSWERED]),
    ({"prompt": [SYSTEM, ASKED], "completion": "Hello"}, [SYSTEM, ASKED, ANSWERED]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), GOOD)
def test_every_form_is_read(row: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert conversations.read(row) == expected


def of(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


BAD: list[tuple[dict[str, Any], str, str]] = [
    # messages
    ({}, "messages", "is missing"),
    (of(), "messages", "empty list"),
    ({"messages": "hello"}, "messages", "not a JSON list"),
    ({"messages": 3}, "messages", "is a int"),
    (of("Hi", ANSWERED), "messages", "message 1 is a str"),
    (of(ASKED, {"content": "Hello"}), "messages", "message 2 has no role"),
    (of(ASKED, {"role": "asistant", "content": "Hello"}), "messages", "did you mean 'assistant'"),
    (of(ASKED, {"role": "assistant"}), "messages", "message 2 has no content"),
    (of(ASKED, {"role": "assistant", "content": "  "}), "messages", "message 2 is blank"),
    (of(ASKED, {"role": "assistant", "content": 5}), "messages", "message 2 is a int"),
    (of(ASKED, {"role": "assistant", "content": None, "tool_calls": [{}]}), "messages", "calls tools"),
    (of({"role": "user", "content": [{"type": "image_url"}]}, ANSWERED), "messages", "kind 'image_url'"),
    (of(ASKED, ANSWERED, SYSTEM), "messages", "message 3 is a system message"),
    (of(ASKED), "messages", "no assistant message"),
    (of(ANSWERED), "messages", "follows no user's message"),
    (of(SYSTEM, ANSWERED), "messages", "message 2 is an answer that follows no user's message"),
    (of(ASKED, ANSWERED, ANSWERED), "messages", "message 3 is an answer that follows no"),
    ({**of(SYSTEM, ASKED, ANSWERED), "system": "Be kind"}, "system", "starts with a system message too"),
    # ShareGPT
    (of({"from": "human"}, {"from": "gpt", "value": "Hello"}), "messages", "message 1 has no content"),
    (of({"from": "alien", "value": "Hi"}), "messages", "unknown role 'alien'"),
    (of({"from": "human", "value": "Hi"}, {"from": "gpt", "value": ""}), "messages", "message 2 is blank"),
    (of({"value": "Hi"}), "messages", "message 1 has no role"),
    (of({"from": "human", "value": {"text": "Hi"}}), "messages", "is a dict, not text"),
    (of(["human", "Hi"]), "messages", "message 1 is a list"),
    ({**of({"from": "human", "value": "Hi"}), "system": 7}, "system", "is a int"),
    (of({"from": "human", "value": "Hi"}), "messages", "no assistant message"),
    (of({"from": "gpt", "value": "Hi"}, {"from": "system", "value": "Be"}), "messages", "message 2 is a system"),
    (of({"from": "human", "value": [1]}), "messages", "kind 'int'"),
    # alpaca
    ({"instruction": "Hi"}, "messages", "no assistant message"),
    ({"instruction": "  ", "output": "Hello"}, "instruction", "is blank"),
    ({"instruction": 3, "output": "Hello"}, "instruction", "is a int"),
    ({"instruction": "Hi", "output": {"a": 1}}, "output", "is a dict"),
    ({"instruction": "Hi", "output": " \n"}, "output", "is blank"),
    ({"instruction": "Hi", "input": 4, "output": "Hello"}, "input", "is a int"),
    ({"instruction": "Hi", "output": "Hello", "history": "earlier"}, "history", "is a str"),
    ({"instruction": "Hi", "output": "Hello", "history": [["a"]]}, "history", "something other than"),
    ({"instruction": "Hi", "output": "Hello", "history": [["a", ""]]}, "history", "is blank"),
    ({"input": "Hi", "output": "Hello"}, "messages", "is missing"),
    # prompt and completion
    ({"completion": "Hello"}, "prompt", "is missing"),
    ({"prompt": "Hi"}, "messages", "no assistant message"),
    ({"prompt": " ", "completion": "Hello"}, "prompt", "is blank"),
    ({"prompt": 1, "completion": "Hello"}, "prompt", "is a int"),
    ({"prompt": [], "completion": "Hello"}, "prompt", "empty list"),
    ({"prompt": "Hi", "completion": 3}, "completion", "is a int"),
    ({"prompt": "Hi", "completion": "\t"}, "completion", "is blank"),
    ({"prompt": [{"role": "user"}], "completion": "Hello"}, "prompt", "message 1 has no content"),
    ({"prompt": "Hi", "completion": [ASKED]}, "completion", "has content of kind"),
    ({"prompt": "Hi", "completion": None}, "messages", "no assistant message"),
]


@pytest.mark.parametrize(("row", "column", "said"), BAD)
def test_bad_rows_are_told_apart(row: dict[str, Any], column: str, said: str) -> None:
    with pytest.raises(RowError, match=said) as caught:
        conversations.last_answer(conversations.read(row))
    assert caught.value.column == column


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello", "rejected": "Go"},
        {"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [{"role": "assistant", "content": "Go"}]},
        {"chosen": [ASKED, ANSWERED], "rejected": [ASKED, {"role": "assistant", "content": "Go"}]},
    ],
)
def test_preferences(row: dict[str, Any]) -> None:
    assert conversations.preference(row) == ([ASKED, ANSWERED], "Go")


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ({"prompt": "Hi", "chosen": "Hello"}, "rejected", "is missing"),
        ({"prompt": "Hi", "rejected": "Hello"}, "chosen", "is missing"),
        ({"chosen": "Hello", "rejected": "Go"}, "prompt", "is missing"),
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "Hello"}, "rejected", "the same"),
        ({"chosen": [ASKED, ANSWERED], "rejected": [SYSTEM, ANSWERED]}, "rejected", "another conversation"),
        ({"chosen": [ASKED], "rejected": [ASKED, ANSWERED]}, "chosen", "not with an answer"),
        ({"prompt": "Hi", "chosen": " ", "rejected": "Go"}, "chosen", "is blank"),
        ({"prompt": "Hi", "chosen": 1, "rejected": "Go"}, "chosen", "is a int"),
        ({"prompt": "", "chosen": "Hello", "rejected": "Go"}, "prompt", "is blank"),
        ({"prompt": "Hi", "chosen": [], "rejected": "Go"}, "chosen", "empty list"),
    ],
)
def test_bad_preferences(row: dict[str, Any], column: str, said: str) -> None:
    with pytest.raises(RowError, match=said) as caught:
        conversations.preference(row)
    assert caught.value.column == column


def test_only_the_assistant_s_turn_can_be_answered() -> None:
    conversations.check_answerable([ASKED])
    for last in (ANSWERED, SYSTEM):
        with pytest.raises(RowError, match="nothing to answer"):
            conversations.check_answerable([last])


def test_what_follows_the_last_answer_was_never_answered() -> None:
    assert conversations.last_answer([ASKED, ANSWERED, ASKED]) == ([ASKED], "Hello")
