"""Every request parameter, described for programs and for people who build forms."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from tunesmith import params, plugins
from tunesmith.params import Params, param
from tunesmith.serving import checking, described, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.replies import answer


class Query(Params):
    """Which are meant."""

    model: str | None = param(None, "Those of one model, with its bundle's defaults and presets.")
    task: str | None = param(None, "Those of one task; none, and no model either: those of all tasks.", plugin="tasks")


async def parameters(call: Call) -> Response:
    """What may be asked of a model, a task, or all of them."""
    query = checking.query(call, Query)
    if query.model is not None and query.task is not None:
        raise Refusal("give a model or a task", "invalid_value", param="task")
    if query.model is not None:
        found = [await asyncio.to_thread(described.model, call.serving.models.find(query.model))]
    else:
        names = [query.task] if query.task is not None else plugins.names("tasks")
        found = await asyncio.to_thread(lambda: [described.task(name) for name in names])
    return answer({"object": "list", "data": found, "fields": described.fields()})


def _gives() -> dict[str, Any]:
    how = schemas.mapping({"honoured": {"enum": ["always", "where", "never"]}}, {"where": schemas.TEXT})
    told = {"help": schemas.TEXT, "legal": schemas.TEXT, "default": {}, "schema": schemas.ANYTHING}
    engines = {"type": "object", "additionalProperties": how}
    more = {"search": schemas.ANYTHING, "formula": schemas.TEXT, "order": schemas.COUNT}
    each = schemas.mapping({**told, "engines": engines}, more)
    of_model = {"model": schemas.TEXT, "engine": schemas.TEXT, "presets": schemas.ANYTHING, "$defs": schemas.ANYTHING}
    rows = {"type": "object", "additionalProperties": each}
    one = schemas.mapping(
        {"task": schemas.TEXT, "summary": schemas.TEXT, "parameters": rows},
        {**of_model, "order": schemas.listed(schemas.TEXT)},
    )
    fields = {"type": "object", "additionalProperties": schemas.mapping(told)}
    return schemas.mapping({"object": {"const": "list"}, "data": schemas.listed(one), "fields": fields})


ENDPOINTS = (
    Endpoint(
        "/v1/parameters",
        parameters,
        "Every request parameter: schema, default, formula, order, search range, and which engines honour it.",
        "GET",
        gives=_gives,
        query=params.schema(Query)["properties"],
    ),
)
