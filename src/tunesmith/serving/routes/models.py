"""The models that are served, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.models import Served
from tunesmith.serving.replies import answer


async def every(call: Call) -> Response:
    """All of them."""
    return answer({"object": "list", "data": [_told(served) for served in call.serving.models]})


async def one(call: Call) -> Response:
    """One of them."""
    return answer(_told(call.serving.find(call.path["model"])))


def _told(served: Served) -> dict[str, Any]:
    context = (
        served.model.engine.facts.context if served.model.task.writes else served.model.bundle.config.model.max_length
    )
    return {
        "id": served.name,
        "object": "model",
        "created": int(served.since),
        "owned_by": "tunesmith",
        "task": served.task,
        "engine": served.engine,
        "system_fingerprint": served.fingerprint,
        "version": served.version,
        "max_model_len": context,
    }


def _one() -> dict[str, Any]:
    texts = {name: {"type": "string"} for name in ("id", "owned_by", "task", "engine", "system_fingerprint")}
    numbers = {"created": {"type": "integer"}, "version": {"type": "integer"}}
    known = {**texts, **numbers, "object": {"const": "model"}, "max_model_len": {"type": ["integer", "null"]}}
    return {"type": "object", "properties": known, "required": list(known)}


def _list() -> dict[str, Any]:
    known = {"object": {"const": "list"}, "data": {"type": "array", "items": _one()}}
    return {"type": "object", "properties": known, "required": list(known)}


ENDPOINTS = (
    Endpoint("/v1/models", every, "The models that are served.", "GET", gives=_list),
    Endpoint("/v1/models/{model}", one, "One of the models that are served.", "GET", gives=_one),
)
