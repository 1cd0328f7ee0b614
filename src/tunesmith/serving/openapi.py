"""The description of every route as OpenAPI 3.1, out of what the routes declare of themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from tunesmith import params, plugins
from tunesmith.serving import endpoint, schemas
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.refusal import CODES

Schema = dict[str, Any]

_ABOUT = (
    "Answers of fine-tuned models. A field that nobody knows is refused; every error has a code that does not change."
)
_ELSEWHERE = 502
"""The status of a model that failed and is computed by another server."""

_SECURITY: list[dict[str, list[str]]] = [{"key": []}]


@dataclass(frozen=True)
class Known:
    """What a description is of.

    Args:
        models: names of the models, each with its task; none: of any server.
        tasks: names of the tasks that are described.
    """

    models: Mapping[str, str]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, models: Mapping[str, str]) -> Known:
        """Of a server with these models; without any, of all tasks."""
        return cls(models, tuple(sorted(set(models.values()))) or plugins.names("tasks"))


def document(models: Mapping[str, str] | None = None) -> Schema:
    """The description.

    Args:
        models: names of the models that a server has, each with its task; None: any server is described.
    """
    known, paths = Known.of(models or {}), dict[str, Any]()
    shared: dict[str, Schema] = {"Error": schemas.ERROR, "PlainError": schemas.PLAIN_ERROR}
    for one in endpoint.every():
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known, shared)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tunesmith", "version": version("tunesmith"), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": shared,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Where keys are asked for."}
            },
        },
    }


def _operation(one: Endpoint, known: Known, shared: dict[str, Schema]) -> Schema:
    found: Schema = {
        "operationId": _name(one),
        "summary": one.summary,
        "security": [] if one.scope is None else _SECURITY,
        "responses": dict(_responses(one, known, shared)),
    }
    if one.scope is not None:
        found["x-scope"] = one.scope
    if parameters := [*_path(one, known), *_query(one)]:
        found["parameters"] = parameters
    if one.takes is not None:
        content: Schema = {"schema": _lifted(body(one, known), shared)}
        if shown := examples(one, known):
            content["examples"] = {name: {"value": example} for name, example in shown.items()}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    return found


def _name(one: Endpoint) -> str:
    return "_".join([one.method.lower(), *re.findall(r"\w+", one.path)])


def _path(one: Endpoint, known: Known) -> Iterator[Schema]:
    for name in re.findall(r"\{(\w+)", one.path):
        legal = _models(one, known)
        schema = {"type": "string", **({"enum": legal} if name == "model" and legal else {"minLength": 1})}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _models(one: Endpoint, known: Known) -> list[str]:
    """The models that a route can ask."""
    return [model for model, task in known.models.items() if one.tasks is None or task in one.tasks]


def _name_models(own: Schema, names: list[str]) -> None:
    """Say in the field that names the model which there are."""
    row = own["properties"].get("model")
    if row is not None and "anyOf" in row:
        row["anyOf"] = [{"enum": names} if kind.get("type") == "string" else kind for kind in row["anyOf"]]
    elif row is not None:
        row["enum"] = names


def _query(one: Endpoint) -> Iterator[Schema]:
    for name, schema in one.query.items():
        told = {key: value for key, value in schema.items() if key not in ("title", "description", "plugin")}
        yield {"name": name, "in": "query", "description": schema.get("description", ""), "schema": told}


def body(one: Endpoint, known: Known) -> Schema:
    """The schema of a route's body, the model's request parameters among its own fields."""
    assert one.takes is not None
    own = json.loads(json.dumps(one.takes()))
    if names := _models(one, known):
        _name_models(own, names)
    tasks = [name for name in known.tasks if one.tasks is None or name in one.tasks]
    if one.request is None or not tasks:
        return dict(own)
    legal = [_merged(own, one, name) for name in tasks]
    return legal[0] if len(legal) == 1 else {"anyOf": legal}


def _merged(own: Schema, one: Endpoint, task: str) -> Schema:
    """A route's own fields with the request parameters of a task."""
    request = params.schema(plugins.module("tasks", task).Request)
    rows = _parameters(one, task, request["properties"])
    properties = dict(own["properties"])
    if one.request:
        place = {name: value for name, value in properties[one.request].items() if name != "additionalProperties"}
        rows |= place.get("properties", {})
        properties[one.request] = {**place, "properties": rows, "additionalProperties": False}
    else:
        properties = {**rows, **properties}
    if one.inputs is not None:
        properties[one.inputs] = _inputs(one, task, properties[one.inputs])
    needed = own.get("required", ())
    properties = {name: row if name in needed else _optional(row) for name, row in properties.items()}
    definitions = {**own.get("$defs", {}), **request.get("$defs", {})}
    more = {"$defs": definitions} if definitions else {}
    title = f"{own.get('title', 'Body')} ({task})"
    return {**own, "title": title, "properties": properties, "additionalProperties": False, **more}


def _parameters(one: Endpoint, task: str, declared: Mapping[str, Schema]) -> dict[str, Schema]:
    """The request parameters of a task that a route takes, by every name that they have there."""
    rows = {name: _optional(row) for name, row in declared.items() if name not in one.sets}
    names = dict(one.names(task)) if one.names is not None else {}
    names |= {row["also"]: name for name, row in rows.items() if "also" in row}
    rows |= {name: rows[ours] for name, ours in names.items() if ours in rows}
    hidden = ("also", "search", "title")
    return {name: {key: value for key, value in row.items() if key not in hidden} for name, row in rows.items()}


def _inputs(one: Endpoint, task: str, row: Schema) -> Schema:
    """One input, or a list of them."""
    forms: list[Any] = schemas.inputs(task)
    more = one.forms(task) if one.forms is not None else []
    legal = [*forms, {"type": "array", "items": {"anyOf": forms}}, *more]
    return {"description": row.get("description", ""), "anyOf": legal}


def _optional(row: Schema) -> Schema:
    """Null means not given, wherever a value need not be."""
    kinds = row.get("anyOf", [row])
    if any(kind.get("type") == "null" for kind in kinds):
        return row
    about = {name: value for name, value in row.items() if name in ("description", "default", "also")}
    rest = {name: value for name, value in row.items() if name not in about}
    return {**about, "anyOf": [*row["anyOf"], {"type": "null"}] if "anyOf" in row else [rest, {"type": "null"}]}


def examples(one: Endpoint, known: Known) -> dict[str, Any]:
    """Bodies that work, by the task of the model; a model's name stands in them where one is known."""
    given = {"any": one.example} if one.example is not None else dict(one.examples)
    found = {}
    for name, example in given.items():
        tasks = one.tasks if name == "any" else (name,)
        fit = [model for model, task in known.models.items() if tasks is None or task in tasks]
        if fit or not known.models:
            found[name] = _filled(example, fit[0] if fit else "{model}")
    return found


def _filled(value: Any, model: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(one, model) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(one, model) for one in value]
    return model if value == "{model}" else value


def _responses(one: Endpoint, known: Known, shared: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """The answer, and every error by its status with its codes."""
    schema = _lifted(one.gives(), shared) if one.gives is not None else {}
    content = {one.media: {"schema": schema}}
    if one.takes is not None and "stream" in one.takes().get("properties", {}):
        content["text/event-stream"] = {"schema": schemas.TEXT}
    yield str(one.status), {"description": one.summary, "content": content}
    by_status: dict[int, list[str]] = {}
    for code, (status, _) in CODES.items():
        if status in _statuses(one):
            by_status.setdefault(status, []).append(code)
    if one.takes is not None:
        by_status[_ELSEWHERE] = ["engine_failed"]
    for status, codes in sorted(by_status.items()):
        told = " ".join(f"{code}: {CODES[code][1]}" for code in codes)
        error: Schema = {"$ref": f"#/components/schemas/{'PlainError' if one.plain_errors else 'Error'}"}
        legal = [error, schema] if one.always and status == 503 else [error]
        schema_of = legal[0] if len(legal) == 1 else {"anyOf": legal}
        yield str(status), {"description": told, "content": {"application/json": {"schema": schema_of}}}


def _statuses(one: Endpoint) -> Iterable[int]:
    """Every status of an error that a route may have."""
    found = [500]
    if one.scope is not None:
        found += [400, 401, 403]
    if one.takes is not None:
        found += [408, 413, 415]
    if one.takes is not None or one.query or "{" in one.path:
        found += [404]
    return [*found, 503] if one.always else [*found, 429, 503]


def _lifted(schema: Mapping[str, Any], shared: dict[str, Schema]) -> Schema:
    """A schema whose definitions are among those that all share."""
    found = json.loads(json.dumps(schema))
    for part in [found, *found.get("anyOf", [])]:
        for name, definition in part.pop("$defs", {}).items():
            shared.setdefault(name, _pointed(definition))
    return dict(_pointed(found))


def _pointed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pointed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_pointed(one) for one in value]
    return value.replace("#/$defs/", "#/components/schemas/") if isinstance(value, str) else value
