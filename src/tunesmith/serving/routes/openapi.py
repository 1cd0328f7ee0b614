"""The description of this server for programs."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from tunesmith.serving import openapi, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer


async def description(call: Call) -> Response:
    """OpenAPI, of the models that are served."""
    models = {served.name: served.task for served in call.serving.models}
    return answer(await asyncio.to_thread(openapi.document, models))


ENDPOINTS = (
    Endpoint("/openapi.json", description, "This description (OpenAPI 3.1).", "GET", gives=lambda: schemas.ANYTHING),
)
