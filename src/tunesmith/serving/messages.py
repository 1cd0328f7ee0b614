"""Messages as OpenAI's clients send them, become plain ones: a role and a text each, so that any chat template can write them.

Calls of tools and their results are written into the texts (see ``tools``); results are what the user's side says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tunesmith.errors import did_you_mean
from tunesmith.serving import body, checking, tools
from tunesmith.serving.refusal import Refusal
from tunesmith.text.conversations import ROLES, Message

_ROLES = (*ROLES, "developer")
_FIELDS = {
    "role": _ROLES,
    "content": _ROLES,
    "tool_calls": ("assistant",),
    "tool_call_id": ("tool",),
    "name": ("tool",),
}
"""Fields of a message, and the roles that may have them."""

_UNSUPPORTED = ("name", "audio", "function_call", "refusal", "annotations")


@dataclass
class Plain:
    """Plain messages, and the names of fields that were dropped on the way."""

    messages: list[Message] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def plain(given: Sequence[Any], on_unsupported: str) -> Plain:
    """Plain messages.

    Args:
        given: messages of a request.
        on_unsupported: ``refuse`` or ``drop``: fields that are known and mean nothing here.

    Raises:
        Refusal: one of them cannot be used; it says which.
    """
    found, names = Plain(), dict[str, str]()
    for number, message in enumerate(given):
        where = f"messages[{number}]"
        own = _fields(message, where, on_unsupported, found.dropped)
        text = _text(own.get("content"), f"{where}.content")
        role = "system" if own["role"] == "developer" else str(own["role"])
        if role == "assistant" and "tool_calls" in own:
            calls = _calls(own["tool_calls"], f"{where}.tool_calls", names)
            text = "\n".join(filter(None, [text, *calls]))
        elif role == "tool":
            role, text = "user", tools.result(_answered(own, where, names), text or "")
        elif text is None:
            raise Refusal("the message has no content", "invalid_value", param=f"{where}.content")
        _add(found.messages, role, text or "", follows_result=number > 0 and given[number - 1]["role"] == "tool")
    return found


def _add(messages: list[Message], role: str, text: str, *, follows_result: bool) -> None:
    """Results, and what a user says after them, are one message: templates want the sides to take turns."""
    if role == "user" and follows_result and messages:
        text = f"{messages.pop()['content']}\n{text}"
    messages.append({"role": role, "content": text})


def _fields(message: Any, where: str, on_unsupported: str, dropped: list[str]) -> dict[str, Any]:
    """The fields of a message that say something."""
    if not isinstance(message, Mapping):
        raise Refusal(f"a message is an object, not {type(message).__name__}", "invalid_value", param=where)
    given = {name: value for name, value in message.items() if value is not None and value != []}
    role = given.get("role")
    if role not in _ROLES:
        hint = did_you_mean(str(role), _ROLES)
        raise Refusal(f"there is no role {role!r}", "invalid_value", param=f"{where}.role", hint=hint)
    for name in [name for name in given if role not in _FIELDS.get(name, ())]:
        if name not in (*_FIELDS, *_UNSUPPORTED):
            raise checking.unknown_parameters([f"{where}.{name}"], [f"{where}.{known}" for known in _FIELDS])
        if on_unsupported == "refuse":
            message = f"{where}.{name} is not supported of the role {role}"
            raise Refusal(message, "unsupported_parameter", param=f"{where}.{name}", hint="leave it out")
        dropped.append(f"{where}.{name}")
        del given[name]
    return given


def _text(content: Any, where: str) -> str | None:
    """Content as text, which it or all of its parts must be."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refusal("content is a text or a list of parts", "invalid_value", param=where)
    texts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind not in ("text", "refusal") or not isinstance(part.get(kind), str):
            code = "invalid_value" if kind in ("text", "refusal") else "unsupported_parameter"
            message = f"a part of kind {kind!r}: only text can be read"
            raise Refusal(message, code, param=f"{where}[{number}]")
        texts.append(part[kind])
    return "".join(texts)


def _calls(given: Any, where: str, names: dict[str, str]) -> list[str]:
    """Calls as the model would have written them; their names are kept by their ids."""
    texts = []
    for number, call in enumerate(given if isinstance(given, list) else [given]):
        try:
            name, arguments, own = call["function"]["name"], call["function"]["arguments"], call["id"]
            values = body.parse(cast(str, arguments).encode()) if arguments else {}
        except Refusal:
            message, place = "the arguments are no JSON object", f"{where}[{number}].function.arguments"
            raise Refusal(message, "invalid_value", param=place) from None
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
            raise Refusal(
                "a call is {id, type: function, function: {name, arguments}}, with JSON text as arguments",
                "invalid_value",
                param=f"{where}[{number}]",
            ) from None
        names[str(own)] = str(name)
        texts.append(tools.call(str(name), values))
    return texts


def _answered(own: Mapping[str, Any], where: str, names: Mapping[str, str]) -> str:
    """The name of the tool whose result a message is."""
    found = names.get(str(own.get("tool_call_id")))
    if found is None:
        hint = "it is the id of a call in an assistant's message before"
        raise Refusal("the result belongs to no call", "invalid_value", param=f"{where}.tool_call_id", hint=hint)
    return found
