"""Conversations as people store them, read into one form: a list of ``{"role", "content"}``.

| form | columns |
|---|---|
| OpenAI messages | ``messages: [{role, content}]``, also as JSON text in a cell |
| ShareGPT | ``conversations: [{from, value}]``, ``system`` |
| alpaca | ``instruction``, ``input``, ``output``, ``system``, ``history: [[question, answer], ...]`` |
| prompt and completion | ``prompt``, ``completion`` |
| preferences | ``prompt``, ``chosen``, ``rejected``: texts, or whole conversations |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import did_you_mean
from tunesmith.text.cells import RowError, is_nothing

Message = dict[str, str]

ROLES = ("system", "user", "assistant", "tool")
_OTHER_NAMES = {
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "developer": "system",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",
}


def read(row: Mapping[str, Any]) -> list[Message]:
    """The conversation of a row in any of the forms, without what it must hold to be learned from.

    Raises:
        RowError: there is none, or a message of it cannot be used.

    >>> read({"instruction": "Say hello", "input": "in French", "output": "Bonjour"})[0]
    {'role': 'user', 'content': 'Say hello\\n\\nin French'}
    """
    given = {name: value for name, value in row.items() if not is_nothing(value) and value != ""}
    system = [_message("system", given["system"], "system")] if "system" in given else []
    if "messages" in given:
        found = messages(given["messages"], "messages")
    elif "instruction" in given:
        found = _alpaca(given)
    elif "prompt" in given or "completion" in given:
        found = _prompt(given)
    else:
        raise RowError("messages", "is missing")
    if system and found[0]["role"] == "system":
        raise RowError("system", "is given, and the conversation starts with a system message too")
    return [*system, *found]


def preference(row: Mapping[str, Any]) -> tuple[list[Message], str]:
    """The conversation up to and with the answer preferred, and the answer rejected in its place.

    Raises:
        RowError: one of them is missing, they are the same, or they answer different conversations.
    """
    prompt = _prompt_messages(row["prompt"]) if row.get("prompt") is not None else []
    chosen, rejected = (_answered(row.get(column), prompt, column) for column in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise RowError("rejected", "answers another conversation than chosen")
    if chosen == rejected:
        raise RowError("rejected", "is the same as chosen")
    if len(chosen) < 2:
        raise RowError("prompt", "is missing: chosen is an answer to nothing")
    return chosen, rejected[-1]["content"]


def messages(value: Any, column: str) -> list[Message]:
    """A list of messages, or its JSON text.

    Raises:
        RowError: which message is wrong, and how.
    """
    if isinstance(value, str):
        value = _from_json(value, column)
    if not isinstance(value, (list, tuple)):
        raise RowError(column, f"is a {type(value).__name__}, not a list of messages")
    if not value:
        raise RowError(column, "is an empty list")
    found = [_read_message(one, number, column) for number, one in enumerate(value, 1)]
    late = next((number for number, one in enumerate(found, 1) if number > 1 and one["role"] == "system"), None)
    if late:
        raise RowError(column, f"message {late} is a system message, which only the first may be")
    return found


def last_answer(found: Sequence[Message]) -> tuple[list[Message], str]:
    """The conversation up to its last answer, and that answer; what follows it was never answered.

    Raises:
        RowError: there is no answer, or the last one answers nothing.
    """
    answers = [number for number, message in enumerate(found) if message["role"] == "assistant"]
    if not answers:
        raise RowError("messages", "hold no assistant message: there is nothing to learn")
    before = list(found[: answers[-1]])
    if not before or before[-1]["role"] not in ("user", "tool"):
        raise RowError("messages", f"message {answers[-1] + 1} is an answer that follows no user's message")
    return before, found[answers[-1]]["content"]


def check_answerable(found: Sequence[Message]) -> None:
    """Refuse a conversation in which it is not the assistant's turn.

    Raises:
        RowError: the last message is the assistant's, or there is only a system message.
    """
    if found[-1]["role"] in ("assistant", "system"):
        raise RowError("messages", f"end with {found[-1]['role']}'s message: there is nothing to answer")


def as_text(found: Sequence[Message]) -> str:
    """A conversation for people: one line a message, at least.

    >>> as_text([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}])
    'user: Hi\\nassistant: Hello'
    """
    return "\n".join(f"{message['role']}: {message['content']}" for message in found)


def _from_json(text: str, column: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise RowError(column, "is text that is not a JSON list of messages") from None


def _read_message(one: Any, number: int, column: str) -> Message:
    where = f"message {number}"
    if not isinstance(one, Mapping):
        raise RowError(column, f"{where} is a {type(one).__name__}, not an object with role and content")
    role = one.get("role", one.get("from"))
    if role is None:
        raise RowError(column, f"{where} has no role")
    name = _OTHER_NAMES.get(str(role).lower(), str(role).lower())
    if name not in ROLES:
        meant = did_you_mean(name, [*ROLES, *_OTHER_NAMES]) or f"legal: {', '.join(ROLES)}"
        raise RowError(column, f"{where} has the unknown role '{role}'; {meant}")
    if one.get("tool_calls"):
        raise RowError(column, f"{where} calls tools, which cannot be learned: write the call into its content")
    return _message(name, one.get("content", one.get("value")), column, where)


def _message(role: str, content: Any, column: str, where: str = "it") -> Message:
    subject = f"{where} " if where != "it" else ""
    if isinstance(content, (list, tuple)):
        content = _joined(content, column, where)
    if content is None:
        raise RowError(column, f"{subject}has no content" if subject else "is missing")
    if not isinstance(content, str):
        raise RowError(column, f"{subject}is a {type(content).__name__}, not text")
    if not content.strip():
        raise RowError(column, f"{subject}is blank")
    return {"role": role, "content": content}


def _joined(parts: Sequence[Any], column: str, where: str) -> str:
    """Content in parts, as long as all are text."""
    texts = []
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise RowError(column, f"{where} has content of kind '{kind}'; only text can be learned")
        texts.append(part["text"])
    return "".join(texts)


def _alpaca(given: Mapping[str, Any]) -> list[Message]:
    earlier: list[Message] = []
    history = given.get("history", ())
    if not isinstance(history, (list, tuple)):
        raise RowError("history", f"is a {type(history).__name__}, not a list of [question, answer]")
    for turn in history:
        if not isinstance(turn, (list, tuple)) or len(turn) != 2:
            raise RowError("history", "holds something other than [question, answer]")
        earlier += [_message("user", turn[0], "history"), _message("assistant", turn[1], "history")]
    asked = _message("user", given["instruction"], "instruction")
    if "input" in given:
        asked["content"] += "\n\n" + _message("user", given["input"], "input")["content"]
    answer = [_message("assistant", given["output"], "output")] if "output" in given else []
    return [*earlier, asked, *answer]


def _prompt(given: Mapping[str, Any]) -> list[Message]:
    if "prompt" not in given:
        raise RowError("prompt", "is missing")
    answer = [_message("assistant", given["completion"], "completion")] if "completion" in given else []
    return [*_prompt_messages(given["prompt"]), *answer]


def _prompt_messages(prompt: Any) -> list[Message]:
    """A prompt is text, or a conversation."""
    return messages(prompt, "prompt") if not isinstance(prompt, str) else [_message("user", prompt, "prompt")]


def _answered(value: Any, prompt: list[Message], column: str) -> list[Message]:
    """A conversation that ends with the answer in a column."""
    if isinstance(value, (list, tuple)):
        found = messages(value, column)
        if found[-1]["role"] != "assistant":
            raise RowError(column, f"ends with {found[-1]['role']}'s message, not with an answer")
        return found if found[: len(prompt)] == prompt else [*prompt, *found]
    return [*prompt, _message("assistant", value, column)]
