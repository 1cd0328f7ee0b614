"""Answers as they are sent: JSON, or server-sent events."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from tunesmith.errors import TunesmithError
from tunesmith.serving import refusal
from tunesmith.serving.call import Call

_LOG = logging.getLogger("tunesmith.serving")


def answer(content: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(json.dumps(content, ensure_ascii=False, allow_nan=False), status, media_type="application/json")


def events(pieces: AsyncIterator[Any], call: Call) -> StreamingResponse:
    """Server-sent events: each a JSON object, an error as the last one, where there is one; then ``[DONE]``."""

    async def told() -> AsyncIterator[str]:
        try:
            async for piece in pieces:
                yield f"data: {json.dumps(piece, ensure_ascii=False)}\n\n"
        except TunesmithError as error:
            call.code = error.code
            yield f"data: {json.dumps(refusal.told(error), ensure_ascii=False)}\n\n"
        except Exception as error:
            _LOG.error("request %s failed", call.id, exc_info=error)
            call.code = "engine_failed"
            wrong = refusal.failed("the server made a mistake; its log tells which")
            yield f"data: {json.dumps(refusal.told(wrong), ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told(), media_type="text/event-stream", headers=headers)
