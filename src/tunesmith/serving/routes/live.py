"""Models as an operator sees and changes them: loaded, unloaded, swapped."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import checking, live
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.models import Served
from tunesmith.serving.replies import answer
from tunesmith.serving.state import Serving
from tunesmith.serving.worker import Load

Name = Annotated[str, Field(pattern=r"^[\w.:-]{1,128}$")]


class Loaded(live.Version):
    """A bundle that is to answer, and what callers call it."""

    name: Name = param(..., "What callers call the model.")


async def every(call: Call) -> Response:
    """All models, with versions that are on trial or whose last requests are being answered."""
    serving = call.serving
    found = [_told(serving, served, _state(served)) for served in serving.models]
    found += [_told(serving, trial.served, "trial") for trial in serving.live.trials.values()]
    found += [_told(serving, served, "draining") for served in serving.live.leaving]
    return answer({"models": found})


async def load(call: Call) -> Response:
    """Load a bundle under a new name."""
    body = checking.plain(call, Loaded)
    made = await live.load(call.serving, body.name, body)
    return answer(_told(call.serving, made, "ready"), 201)


async def swap(call: Call) -> Response:
    """Put another version in a model's place."""
    body = checking.plain(call, live.Version)
    made = await live.swap(call.serving, call.path["model"], body)
    return answer(_told(call.serving, made, "ready"))


async def unload(call: Call) -> Response:
    """Let nobody ask for a model any more."""
    old = await live.unload(call.serving, call.path["model"])
    return answer(_told(call.serving, old, "draining"))


def _state(served: Served) -> str:
    return "ready" if served.ready else "restarting" if not served.worker.ready else "gone"


def _told(serving: Serving, served: Served, state: str) -> dict[str, Any]:
    load = live.loads(serving).get(served, Load(0, 0, served.worker.load.cache))
    beside = [one.name for one in serving.models if one.worker is served.worker]
    return {
        "name": served.name,
        "version": served.version,
        "state": state,
        "task": served.task,
        "engine": served.engine,
        "fingerprint": served.fingerprint,
        "bundle": str(served.folder.absolute()),
        "since": served.since,
        "requests": serving.live.inside(served),
        "load": {"waiting": load.waiting, "running": load.running, "cache": load.cache},
        "restarts": served.worker.deaths,
        "computed_with": sorted({*beside} - {served.name}),
    }


def _gives() -> dict[str, Any]:
    properties = {
        "name": {"type": "string"},
        "version": {"type": "integer"},
        "state": {"type": "string", "enum": ["ready", "restarting", "gone", "trial", "draining"]},
        "task": {"type": "string"},
        "engine": {"type": "string"},
        "fingerprint": {"type": "string"},
        "bundle": {"type": "string"},
        "since": {"type": "number"},
        "requests": {"type": "integer"},
        "load": {"type": "object"},
        "restarts": {"type": "integer"},
        "computed_with": {"type": "array", "items": {"type": "string"}},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _all() -> dict[str, Any]:
    return {"type": "object", "properties": {"models": {"type": "array", "items": _gives()}}, "required": ["models"]}


_ONE = "/v1/admin/models/{model}"
ENDPOINTS = (
    Endpoint(
        "/v1/admin/models", every, "Models with their versions and how busy they are.", "GET", "admin", gives=_all
    ),
    Endpoint(
        "/v1/admin/models",
        load,
        "Loads a bundle, once it gives its golden answers.",
        scope="admin",
        takes=lambda: params.schema(Loaded),
        example={"name": "reviews", "bundle": "reviews-2"},
        status=201,
        gives=_gives,
    ),
    Endpoint(
        _ONE,
        swap,
        "Puts another version in a model's place, once it gives its golden answers; the old one answers what it has.",
        "PUT",
        "admin",
        takes=lambda: params.schema(live.Version),
        example={"bundle": "reviews-3", "engine": "onnx"},
        gives=_gives,
    ),
    Endpoint(_ONE, unload, "Unloads a model, once it has answered what it has.", "DELETE", "admin", gives=_gives),
)
