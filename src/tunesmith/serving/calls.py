"""Calls of tools in what a model writes: ``<tool_call>{"name": ..., "arguments": ...}</tool_call>``, found as the text comes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tunesmith.generation.text import overlap
from tunesmith.writing.streaming import Trimmed

BEGIN, END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class ToolCall:
    """A call: which tool, and its arguments as JSON."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")

    def told(self) -> dict[str, Any]:
        """As OpenAI's clients read it."""
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        }


class Calls:
    """Text with calls in it, apart. What may be a call is held back until that is clear.

    Args:
        names: of the tools that there are.

    >>> calls = Calls(["add"])
    >>> [calls.push(piece) for piece in ("One ", "moment<tool", "_call> {")]
    [['One'], [' moment'], []]
    >>> [call.arguments for call in calls.push('"name": "add", "arguments": {"a": 1}}</tool_call>')]
    ['{"a": 1}']
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self._outside = Trimmed()
        self.warnings: list[str] = []

    def push(self, text: str) -> list[str | ToolCall]:
        """Text outside of calls, without the space around it, and calls, as far as they are certain."""
        self._held += text
        return list(self._certain())

    def finish(self) -> list[str | ToolCall]:
        """What is left, as nothing more comes: a call that lacks its end only is one, any other stays text."""
        before, found, rest = self._held.partition(BEGIN)
        self._held = ""
        call = self._read(rest)
        if found and isinstance(call, ToolCall):
            return [*self._text(before), call]
        if found:
            self._warn("it is not finished")
        return list(self._text(before + found + rest))

    def _certain(self) -> Iterator[str | ToolCall]:
        while True:
            before, found, rest = self._held.partition(BEGIN)
            if not found:
                safe = len(self._held) - overlap(self._held, BEGIN)
                yield from self._text(self._held[:safe])
                self._held = self._held[safe:]
                return
            yield from self._text(before)
            end = self._end(rest)
            if end is None:
                self._held = BEGIN + rest
                return
            call = self._read(rest[: end - len(END)])
            if isinstance(call, ToolCall):
                yield call
            else:
                self._warn(call)
                yield from self._text(BEGIN + rest[:end])
            self._held = rest[end:]

    def _end(self, rest: str) -> int | None:
        """Where a call ends, if it does: at its end tag, unless that stands in a text of its arguments."""
        place = rest.find(END)
        while place >= 0:
            try:
                _DECODER.decode(rest[:place].strip())
            except json.JSONDecodeError as error:
                if not error.msg.startswith("Unterminated string"):
                    return place + len(END)
            except (ValueError, RecursionError):
                return place + len(END)
            else:
                return place + len(END)
            place = rest.find(END, place + 1)
        return None

    def _read(self, text: str) -> ToolCall | str:
        """A call, or why it is none."""
        try:
            found = _DECODER.decode(text.strip())
            name, arguments = found["name"], found["arguments"]
            if set(found) == {"name", "arguments"} and isinstance(name, str) and isinstance(arguments, dict):
                return ToolCall(name, _written(arguments)) if name in self._names else f"there is no tool {name!r}"
        except (ValueError, KeyError, TypeError, RecursionError):
            pass
        return "it is no JSON object with a name and arguments"

    def _text(self, text: str) -> Iterator[str]:
        if certain := self._outside.push(text):
            yield certain

    def _warn(self, why: str) -> None:
        self.warnings.append(f"what looks like a call of a tool stays text: {why}")


def _written(arguments: dict[str, Any]) -> str:
    text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # halves of characters, which JSON can name and UTF-8 cannot
        return json.dumps(arguments)
    return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)
