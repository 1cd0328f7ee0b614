"""The page of the server's routes, out of what they declare of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.tables import table

from tunesmith import plugins
from tunesmith.serving import endpoint, openapi
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.refusal import CODES

INTRO = """# Routes of the server

`tunesmith serve` answers at these. A running server describes itself, with its own models, at `/openapi.json` (OpenAPI 3.1).
Where keys are asked for, each route but those for everybody wants `Authorization: Bearer KEY`, of a key that has its scope.
`null` means not given. A field that nobody knows is refused, unless `on_unsupported` is `drop`. "The model's request
parameters" are those of its task in [parameters](parameters.md); `/v1/parameters` describes them for programs.

"""


def page() -> str:
    """Every route: what it takes, and a call that works."""
    known = openapi.Known.of({})
    every = sorted(endpoint.every(), key=lambda one: one.path)
    rows = ((f"`{one.method}`", f"`{one.path}`", one.scope or "everybody", one.summary) for one in every)
    parts = [INTRO, table(("method", "path", "for", "what"), rows), "\n"]
    for one in every:
        parts += _route(one, known)
    codes = ((f"`{code}`", str(status), when) for code, (status, when) in CODES.items())
    return "".join([*parts, "## Errors\n\n", ERRORS, table(("code", "status", "when"), codes)])


ERRORS = """Every error is `{"error": {"message", "type", "param", "code"}}`, with all `problems` where there are several.

"""


def _route(one: Endpoint, known: openapi.Known) -> Iterator[str]:
    if one.takes is None and not one.query:
        return
    yield f"## `{one.method} {one.path}`\n\n{one.summary}\n\n"
    if one.query:
        yield f"{table(('query', 'legal', 'default', 'meaning'), _rows(one.query, ()))}\n"
    if one.takes is not None:
        schema = one.takes()
        rows = _rows(schema.get("properties", {}), schema.get("required", ()), schema.get("$defs", {}))
        yield f"{table(('field', 'legal', 'default', 'meaning'), rows)}\n"
        yield from _notes(one)
        for name, example in openapi.examples(one, known).items():
            yield _call(one, name, example)


def _notes(one: Endpoint) -> Iterator[str]:
    if one.request is not None:
        where = f"in `{one.request}`" if one.request else "beside these"
        besides = f", but for {', '.join(f'`{name}`' for name in one.sets)}" if one.sets else ""
        yield f"The model's request parameters stand {where}{besides}.\n\n"
    if one.names is not None:
        rows = [
            (f"`{theirs}`", f"`{ours}`", task)
            for task in plugins.names("tasks")
            for theirs, ours in one.names(task).items()
        ]
        yield f"Some have another name here, too:\n\n{table(('here', 'parameter', 'task'), rows)}\n"
    if one.tasks is not None:
        yield f"For models of {' or '.join(f'`{task}`' for task in one.tasks)}.\n\n"


def _rows(
    properties: Mapping[str, Any], required: Any, shared: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, ...]]:
    for name, row in properties.items():
        default = "required" if name in required else f"`{json.dumps(row.get('default'))}`"
        yield f"`{name}`", _legal(row, shared or {}), default, row.get("description", "")


def _legal(row: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    """The legal values in words."""
    if "$ref" in row:
        return _legal(shared[row["$ref"].rpartition("/")[2]], shared)
    if "enum" in row:
        return "one of " + ", ".join("null" if value is None else str(value) for value in row["enum"])
    if "anyOf" in row:
        return " or ".join(dict.fromkeys(_legal(kind, shared) for kind in row["anyOf"]))
    if row.get("type") == "array":
        items = row.get("items") or {}
        return f"list of {_legal(items, shared)}" if items else "list"
    words = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    bounds = " and ".join(f"{sign} {row[key]:g}" for key, sign in signs.items() if key in row)
    kind = words.get(row.get("type", ""), row.get("type") or "anything")
    return f"{kind} {bounds}".strip()


def _call(one: Endpoint, name: str, example: Any) -> str:
    task = "" if name == "any" else f"# a model for {name}\n"
    path = one.path.replace("{model}", "my-model")
    body = json.dumps(example, ensure_ascii=False).replace("{model}", "my-model").replace("'", "'\\''")
    return (
        f"```sh\n{task}curl http://127.0.0.1:8000{path} -H 'Content-Type: application/json' \\\n  -d '{body}'\n```\n\n"
    )
