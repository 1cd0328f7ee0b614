"""Whether the server lives, and whether it can answer now."""

from __future__ import annotations

from starlette.responses import Response

from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer


async def health(call: Call) -> Response:
    """It lives."""
    return answer({"status": "ok"})


async def ready(call: Call) -> Response:
    """Every model answers, and the server is not being stopped."""
    serving = call.serving
    if serving.ready:
        return answer({"status": "ready"})
    why = "stopping" if serving.gate.stopping else "loading" if serving.loading else "a model does not answer"
    return answer({"status": why}, 503)


def _status() -> dict[str, object]:
    return {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


ENDPOINTS = (
    Endpoint("/health", health, "Whether the server lives.", "GET", None, gives=_status, always=True),
    Endpoint("/ready", ready, "Whether it can answer now (503: not yet, or no more).", "GET", None, gives=_status, always=True),
)  # fmt: skip
