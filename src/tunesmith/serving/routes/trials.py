"""A second version of a model beside the present one: with a share of its traffic, or with copies that nobody sees."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import checking, live
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.models import Served
from tunesmith.serving.replies import answer
from tunesmith.serving.trials import Trial


class Tried(live.Version):
    """A version that is to be tried."""

    share: float = param(..., "Share of the requests that it gets; those of one user all or none.", ge=0, le=1)
    shadow: bool = param(False, "It gets copies of these requests instead, and nobody gets its answers.")


async def start(call: Call) -> Response:
    """Try a version."""
    body = checking.plain(call, Tried)
    trial = await live.start_trial(call.serving, call.path["model"], body, share=body.share, shadow=body.shadow)
    return answer(_told(trial), 201)


async def look(call: Call) -> Response:
    """What was found so far."""
    return answer(_told(live.trial_of(call.serving, call.path["model"])))


async def promote(call: Call) -> Response:
    """Put the version on trial in the place of the present one."""
    trial = await live.promote(call.serving, call.path["model"])
    return answer(_told(trial))


async def end(call: Call) -> Response:
    """End the trial."""
    return answer(_told(await live.end_trial(call.serving, call.path["model"])))


def _told(trial: Trial) -> dict[str, Any]:
    found = trial.differences.told()
    versions = {name: {**_version(served), **found.pop(name)} for name, served in _both(trial).items()}
    whole = {"model": trial.current.name, "share": trial.share, "shadow": trial.shadow, "since": trial.since}
    return {**whole, **versions, **found, "dropped": trial.dropped}


def _both(trial: Trial) -> dict[str, Served]:
    return {"current": trial.current, "trial": trial.served}


def _version(served: Served) -> dict[str, Any]:
    return {
        "version": served.version,
        "bundle": str(served.folder.absolute()),
        "engine": served.engine,
        "fingerprint": served.fingerprint,
    }


def _gives() -> dict[str, Any]:
    side = {
        "type": "object",
        "properties": {"version": {"type": "integer"}, "requests": {"type": "integer"}, "errors": {"type": "integer"}},
        "required": ["version", "requests", "errors", "error_rate", "latency_ms", "labels"],
    }
    number = {"type": ["number", "null"]}
    properties = {
        "model": {"type": "string"},
        "share": {"type": "number"},
        "shadow": {"type": "boolean"},
        "since": {"type": "number"},
        "current": side,
        "trial": side,
        "compared": {"type": "integer"},
        "agreement": number,
        "mean_score_difference": number,
        "dropped": {"type": "integer"},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


_PATH = "/v1/admin/models/{model}/trial"
ENDPOINTS = (
    Endpoint(
        _PATH,
        start,
        "Tries a second version of a model, on a share of its requests or on copies of them.",
        scope="admin",
        takes=lambda: params.schema(Tried),
        gives=_gives,
        example={"bundle": "reviews-2", "share": 0.1, "shadow": True},
        status=201,
    ),
    Endpoint(_PATH, look, "How the two versions differ so far.", "GET", "admin", gives=_gives),
    Endpoint(
        f"{_PATH}/promote", promote, "Puts the version on trial in the model's place.", scope="admin", gives=_gives
    ),
    Endpoint(_PATH, end, "Ends a trial; the present version stays.", "DELETE", "admin", gives=_gives),
)
