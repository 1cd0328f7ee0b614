"""Tools that a model may call: told to it in its system message, and, where a call is asked for, held to by a grammar.

The form is that of the Hermes models: functions as JSON between ``<tools>`` tags, calls between ``<tool_call>`` tags,
results between ``<tool_response>`` tags, all within plain messages, so that it works with any chat template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.errors import did_you_mean
from tunesmith.serving.calls import BEGIN, END
from tunesmith.serving.refusal import Refusal
from tunesmith.text.conversations import Message

Mode = Literal["none", "auto", "required"]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_ASKED = """You can call these functions:
<tools>
{tools}
</tools>
To call one, write its name and its arguments as JSON between tags, for each call anew:
{example}
What a function returns is told to you between <tool_response> tags."""


@dataclass(frozen=True)
class Tools:
    """Tools of a request.

    Args:
        functions: as given, by name.
        mode: whether the model calls none, decides itself, or must call.
        parallel: whether it may make several calls at once.
    """

    functions: Mapping[str, Mapping[str, Any]]
    mode: Mode = "none"
    parallel: bool = True

    @property
    def told(self) -> bool:
        """Whether the model is told of them."""
        return self.mode != "none"

    def system(self, messages: Sequence[Message], usual: str | None) -> list[Message]:
        """Messages whose first one tells of the tools, after what it says itself.

        Args:
            messages: plain ones.
            usual: what the first one says where there is none of the system.
        """
        has_system = bool(messages) and messages[0]["role"] == "system"
        own = messages[0]["content"] if has_system else usual
        text = "\n\n".join(filter(None, [own, self._described()]))
        return [{"role": "system", "content": text}, *messages[has_system:]]

    def format(self, wanted: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The ``response_format`` that holds an answer to calls, or to calls and what was wanted; None: it is free.

        Raises:
            Refusal: what was wanted does not go with calls.
        """
        plain = wanted is None or wanted.get("type") == "text"
        if self.mode == "auto" and plain:
            return None
        start = "calls"
        rules = [*self._rules()]
        if not plain:
            start, extra = self._or_answer(wanted or {})
            rules.append(extra)
        return {"type": "grammar", "grammar": "\n".join([f"start: {start}", *rules])}

    def _or_answer(self, wanted: Mapping[str, Any]) -> tuple[str, str]:
        kinds = {"json_object": {"type": "object"}, "json_schema": wanted.get("json_schema")}
        schema = kinds.get(str(wanted.get("type")))
        if self.mode == "required" or not isinstance(schema, dict):
            message = f"response_format {wanted.get('type')} does not go with tools and tool_choice {self.mode}"
            raise Refusal(message, "invalid_value", param="response_format")
        return "calls | answer", f"answer: %json {json.dumps(schema.get('schema', schema))}"

    def _rules(self) -> list[str]:
        names = [f"call_{number}" for number in range(len(self.functions))]
        rules = ['calls: call ("\\n" call)*' if self.parallel else "calls: call", f"call: {' | '.join(names)}"]
        end = json.dumps(f"}}\n{END}")
        for number, (name, function) in enumerate(self.functions.items()):
            begin = json.dumps(f'{BEGIN}\n{{"name": "{name}", "arguments": ')
            rules.append(f"call_{number}: {begin} arguments_{number} {end}")
            rules.append(f"arguments_{number}: %json {json.dumps({'x-guidance': _SPACING, **_arguments(function)})}")
        return rules

    def _described(self) -> str:
        each = "\n".join(
            json.dumps({"type": "function", "function": dict(one)}, ensure_ascii=False)
            for one in self.functions.values()
        )
        first = next(iter(self.functions))
        return _ASKED.replace("{example}", call(first, {"...": "..."})).replace("{tools}", each)


def read(given: Any, choice: Any, parallel: bool | None) -> Tools:
    """The tools of a request.

    Args:
        given: its ``tools``.
        choice: its ``tool_choice``.
        parallel: its ``parallel_tool_calls``.

    Raises:
        Refusal: a tool is wrong, or the choice names none of them.
    """
    if not given:
        named = "tool_choice" if choice not in (None, "none", "auto") else "parallel_tool_calls"
        if choice not in (None, "none", "auto") or parallel is not None:
            raise Refusal("there are no tools", "invalid_value", param=named, hint="give tools, too")
        return Tools({})
    functions: dict[str, Mapping[str, Any]] = {}
    for number, tool in enumerate(given):
        function = _function(tool, f"tools[{number}]")
        if function["name"] in functions:
            raise Refusal("two functions have this name", "invalid_value", param=f"tools[{number}].function.name")
        functions[function["name"]] = function
    return _chosen(functions, "auto" if choice is None else choice, parallel is not False)


def call(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as a model writes it."""
    told = json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)
    return f"{BEGIN}\n{told}\n{END}"


def result(name: str, content: str) -> str:
    """What a function returned, as it is told to a model."""
    told = json.dumps({"name": name, "content": content}, ensure_ascii=False)
    return f"<tool_response>\n{told}\n</tool_response>"


def _function(tool: Any, where: str) -> Mapping[str, Any]:
    """A function, once it is clear that it is one."""
    kind = tool.get("type") if isinstance(tool, dict) else type(tool).__name__
    if kind != "function":
        code = "unsupported_parameter" if isinstance(tool, dict) and kind is not None else "invalid_value"
        raise Refusal(f"a tool of the type {kind!r}", code, param=f"{where}.type", hint="legal: function")
    function = tool.get("function")
    if not isinstance(function, dict) or not _NAME.fullmatch(str(function.get("name"))):
        hint = "{name, description, parameters}, the name of letters, digits, _ and -, up to 64"
        raise Refusal(
            "the function has no name that can be used", "invalid_value", param=f"{where}.function", hint=hint
        )
    known = ("name", "description", "parameters", "strict")
    for name in function:
        if name not in known:
            place, near = f"{where}.function.{name}", did_you_mean(name, known)
            raise Refusal(f"unknown parameter '{name}'", "unknown_parameter", param=place, hint=near)
    parameters = function.get("parameters")
    if parameters is not None and (not isinstance(parameters, dict) or parameters.get("type", "object") != "object"):
        message = "is no JSON schema of an object"
        raise Refusal(message, "invalid_value", param=f"{where}.function.parameters")
    return {name: value for name, value in function.items() if name != "strict" and value is not None}


def _arguments(function: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a function's arguments; without one it has none."""
    given = function.get("parameters")
    return {"type": "object", **given} if given else {"type": "object", "properties": {}, "additionalProperties": False}


def _chosen(functions: Mapping[str, Mapping[str, Any]], choice: Any, parallel: bool) -> Tools:
    if choice in ("none", "auto", "required"):
        return Tools(functions, choice, parallel)
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        return Tools(_named([choice], functions), "required", parallel=False)
    allowed = choice.get("allowed_tools") if kind == "allowed_tools" else None
    if isinstance(allowed, dict) and allowed.get("mode") in ("auto", "required") and allowed.get("tools"):
        return Tools(_named(allowed["tools"], functions), allowed["mode"], parallel)
    legal = "legal: none, auto, required, {type: function, function: {name}}, {type: allowed_tools, allowed_tools: {mode, tools}}"
    raise Refusal("this cannot be chosen", "invalid_value", param="tool_choice", hint=legal)


def _named(chosen: Any, functions: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The functions that a choice names."""
    found = {}
    for one in chosen if isinstance(chosen, list) else [None]:
        function = one.get("function") if isinstance(one, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or name not in functions:
            hint = did_you_mean(str(name), sorted(functions))
            raise Refusal(f"there is no tool {name!r}", "invalid_value", param="tool_choice", hint=hint)
        found[name] = functions[name]
    return found
