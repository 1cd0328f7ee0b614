"""Every request's way: who asks, may it come in, what does it say, what is answered, who hears of it."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tunesmith.errors import TunesmithError
from tunesmith.serving import body, checking, endpoint, refusal
from tunesmith.serving.asking import Gone
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.keys import ANYONE, Key
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.state import Serving

_LOG = logging.getLogger("tunesmith.serving")
_AN_ID = re.compile(r"[\w.:-]{1,128}")
_NOBODY_WAITS = 499


def build(serving: Serving) -> Starlette:
    """The application."""
    routes = [Route(one.path, _handler(one, serving), methods=[one.method]) for one in endpoint.every()]
    allowed = list(serving.options.cors)
    cors = [Middleware(CORSMiddleware, allow_origins=allowed, allow_methods=["*"], allow_headers=["*"])]
    unrouted = _unrouted(serving)
    return Starlette(
        routes=routes,
        middleware=cors if allowed else [],
        exception_handlers={404: unrouted, 405: unrouted},
    )


def _handler(one: Endpoint, serving: Serving) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        call = Call(request, one, serving, _id(request))
        inside = ExitStack()
        try:
            response = await _answered(call, inside)
        except (Gone, ClientDisconnect):
            response = Response(status_code=_NOBODY_WAITS)
        except TunesmithError as error:
            response = _refused(call, error)
        except Exception as error:
            _LOG.error("request %s failed", call.id, exc_info=error)
            response = _refused(call, refusal.failed("the server made a mistake; its log tells which"))
        call.status = response.status_code
        response.headers["x-request-id"] = call.id
        if isinstance(response, StreamingResponse):
            call.stream = True
            response.body_iterator = _followed(response.body_iterator, call, inside)
        else:
            _over(call, inside)
        return response

    return handle


async def _answered(call: Call, inside: ExitStack) -> Response:
    """The answer, once it is clear who asks, that they may, and what the body holds."""
    one, serving = call.endpoint, call.serving
    call.key = _who(call.request, serving) if one.scope is not None else Key("", ())
    if one.scope is not None and one.scope not in call.key.scopes:
        raise Refusal(f"the key may not do this: it lacks the scope '{one.scope}'", "missing_scope", 403)
    if one.scope is not None and (unknown := [name for name in call.request.query_params if name not in one.query]):
        raise checking.unknown_parameters(unknown, one.query)
    if not one.always:
        inside.enter_context(serving.gate.enter(call.key.name))
    if one.takes is not None:
        options = serving.options
        call.body = await body.read(call.request, options.max_body_bytes, options.body_timeout_s)
    return await one.handle(call)


def _who(request: Request, serving: Serving) -> Key:
    if serving.keys is None:
        return ANYONE
    return serving.keys.who(request.headers.get("authorization"))


async def _followed(pieces: Any, call: Call, inside: ExitStack) -> AsyncIterator[Any]:
    """A stream, to its end, however it ends."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()
        _over(call, inside)


def _over(call: Call, inside: ExitStack) -> None:
    inside.close()
    call.serving.observe(call.record())


def _refused(call: Call, error: TunesmithError) -> Response:
    call.code = error.code
    return JSONResponse(refusal.told(error), error.http_status, headers=refusal.headers(error))


def _unrouted(serving: Serving) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Nobody without a key learns what paths there are."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        try:
            _who(request, serving)
            code = {404: "not_found", 405: "method_not_allowed"}[error.status_code]
            raise Refusal(f"{request.method} {request.url.path}: {error.detail}", code, error.status_code)
        except TunesmithError as refused:
            told = JSONResponse(refusal.told(refused), refused.http_status, headers=refusal.headers(refused))
        told.headers["x-request-id"] = _id(request)
        return told

    return handle


def _id(request: Request) -> str:
    """The caller's own id, where that is one, or a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _AN_ID.fullmatch(given) else uuid.uuid4().hex
