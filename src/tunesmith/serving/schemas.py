"""JSON schemas of what routes take and give: the pieces that several have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith import params, plugins
from tunesmith.params import Params

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WRITTEN: Schema = {"type": "string", "pattern": r"\S", "description": "A text that is not blank."}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TRUTH: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}

HOW: dict[str, Schema] = {
    "effective_parameters": {**ANYTHING, "description": "The request parameters as they took effect."},
    "engine": {**TEXT, "description": "What computed the answer."},
    "system_fingerprint": {**TEXT, "description": "Same fingerprint, same seed, same answer."},
}
"""What every answer says of how it came about (see ``checking.told``)."""

DROPPED: dict[str, Schema] = {
    "dropped_parameters": {"type": "array", "items": TEXT, "description": "Names that were given and dropped."}
}

_WRONG: dict[str, Schema] = {
    "type": TEXT,
    "param": {"type": ["string", "null"], "description": "The field that is meant."},
    "code": {**TEXT, "description": "What does not change."},
}
_PROBLEMS: dict[str, Schema] = {
    "problems": {
        "type": "array",
        "description": "All of them, where there are several.",
        "items": {
            "type": "object",
            "properties": {
                "message": TEXT,
                "param": {"type": ["string", "null"]},
                "hint": {"type": ["string", "null"]},
            },
            "required": ["message", "param", "hint"],
        },
    }
}

_MESSAGE: Schema = {
    "type": "object",
    "properties": {"role": {"enum": ["system", "user", "assistant", "tool"]}, "content": WRITTEN},
    "required": ["role", "content"],
    "additionalProperties": False,
}
_COLUMNS: dict[str, Schema] = {
    "messages": {"anyOf": [WRITTEN, {"type": "array", "items": _MESSAGE, "minItems": 1}]},
    "tokens": {"type": "array", "items": WRITTEN, "minItems": 1},
}
"""Inputs of tasks that are more than a text."""


def mapping(properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with some properties that it has, and some that it may have.

    >>> mapping({"id": TEXT}, {"score": NUMBER})["required"]
    ['id']
    """
    found = {"type": "object", "properties": {**properties, **(optional or {})}}
    return {**found, "required": list(properties)} if properties else found


ERROR = mapping({"error": mapping({"message": TEXT, **_WRONG}, _PROBLEMS)})
"""Every error (see ``refusal.told``)."""

PLAIN_ERROR = mapping({"error": {**TEXT, "description": "What is wrong."}, **_WRONG}, _PROBLEMS)
"""The same for clients that read a text."""


def listed(item: Schema, **more: Any) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item, **more}


def inputs(task: str) -> list[Schema]:
    """The forms of an input that a task reads: its first text alone, or a mapping."""
    names: tuple[str, ...] = plugins.load("tasks", task).inputs
    rows = {name: _COLUMNS.get(name, WRITTEN) for name in names}
    return [WRITTEN, {"type": "object", "properties": rows, "additionalProperties": False}]


def fields(group: type[Params]) -> dict[str, Any]:
    """An object with the fields of a group beside a model's name, which stands in the path."""
    schema = params.schema(group)
    rows = {name: row for name, row in schema["properties"].items() if name != "model"}
    return {"properties": rows, "additionalProperties": False}


def usage() -> Schema:
    """How many tokens were read and written."""
    return mapping({"prompt_tokens": COUNT, "total_tokens": COUNT}, {"completion_tokens": COUNT})
