"""Counts for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint

_MEDIA = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(call: Call) -> Response:
    """What the observer of that name has counted, and how things are now."""
    counted: Any = call.serving.observers["metrics"]
    return Response(await asyncio.to_thread(counted.text), headers={"content-type": _MEDIA})


ENDPOINTS = (
    Endpoint("/metrics", metrics, "Counts for Prometheus.", "GET", "metrics", media="text/plain", always=True),
)  # fmt: skip
