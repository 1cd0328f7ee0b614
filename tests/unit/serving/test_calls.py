"""Calls of tools are found in what a model writes, however it is cut into pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tunesmith.serving.calls import Calls, ToolCall


def read(text: str, pieces: int = 1) -> tuple[str, list[tuple[str, str]], list[str]]:
    """Text, calls and warnings, of a text that comes in pieces of so many letters."""
    calls, parts = Calls(["add", "get"]), list[str | ToolCall]()
    for place in range(0, len(text), pieces):
        parts += calls.push(text[place : place + pieces])
    parts += calls.finish()
    outside = "".join(part for part in parts if isinstance(part, str))
    return outside, [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)], calls.warnings


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_text_and_calls(pieces: int) -> None:
    text = f"  Let me see. {call('add', a=1)}\n{call('get', where='</tool_call> ü')}  "
    expected = [("add", '{"a": 1}'), ("get", '{"where": "</tool_call> ü"}')]
    assert read(text, pieces) == ("Let me see.", expected, [])


@pytest.mark.parametrize("pieces", [1, 1000])
@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("{name: add}", "no JSON object"),
        ('{"name": "add"}', "no JSON object"),
        ('{"name": "add", "arguments": "a"}', "no JSON object"),
        ('{"name": "add", "arguments": {"a": NaN}}', "no JSON object"),
        ('{"name": "add", "arguments": {"a": 1e999}}', "no JSON object"),
        ('{"name": "add", "arguments": {}, "more": 1}', "no JSON object"),
        ('{"name": ["add"], "arguments": {}}', "no JSON object"),
        ("[" * 5000, "no JSON object"),
        ('{"name": "subtract", "arguments": {}}', "no tool 'subtract'"),
    ],
)
def test_what_is_no_call_stays_text(inside: str, why: str, pieces: int) -> None:
    text = f"a <tool_call>{inside}</tool_call> b"
    outside, calls, warnings = read(text, pieces)
    assert (outside, calls) == (text, [])
    assert len(warnings) == 1
    assert why in warnings[0]


def test_a_call_that_lacks_its_end() -> None:
    assert read('<tool_call>{"name": "add", "arguments": {}}')[1] == [("add", "{}")]
    outside, calls, warnings = read('<tool_call>{"name": "add", "argu')
    assert (outside, calls) == ('<tool_call>{"name": "add", "argu', [])
    assert "not finished" in warnings[-1]


def test_halves_of_characters_stay_json() -> None:
    _, [(_, arguments)], _ = read('<tool_call>{"name": "add", "arguments": {"a": "\\ud800"}}</tool_call>')
    assert arguments.encode()
    assert json.loads(arguments) == {"a": "\ud800"}


def test_nothing_is_held_back_longer_than_needed() -> None:
    calls = Calls(["add"])
    assert calls.push("a < b") == ["a < b"]
    assert calls.push(" <too") == []
    assert calls.push("th") == [" <tooth"]


@given(some.lists(some.sampled_from(["<tool_call>", "</tool_call>", "{", '"', "a", " ", "\n", call("add", b=2)])), some.integers(1, 9))  # fmt: skip
def test_pieces_do_not_matter(parts: list[str], pieces: int) -> None:
    text = "".join(parts)
    assert read(text, pieces) == read(text, len(text) + 1)
