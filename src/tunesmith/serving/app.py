"""Every request's way: who asks, may it come in, what does it say, what is answered, who hears of it."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tunesmith.errors import TunesmithError
from tunesmith.serving import asking, body, checking, endpoint, refusal, trials
from tunesmith.serving.asking import Gone
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.keys import ANYONE, Key
from tunesmith.serving.record import NO_METHOD, NO_ROUTE
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.state import Serving

_LOG = logging.getLogger("tunesmith.serving")
_AN_ID = re.compile(r"[\w.:-]{1,128}")
_NOBODY_WAITS = 499
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TOLD = ("x-request-id", "retry-after", "retry-after-ms")


def build(serving: Serving) -> Starlette:
    """The application."""
    routes = [Route(one.path, _handler(one, serving), methods=[one.method]) for one in endpoint.every()]
    allowed = list(serving.options.cors)
    any_of = ["*"]
    cors = [
        Middleware(
            CORSMiddleware, allow_origins=allowed, allow_methods=any_of, allow_headers=any_of, expose_headers=_TOLD
        )
    ]
    unrouted = _unrouted(serving)
    return Starlette(
        routes=routes,
        middleware=cors if allowed else [],
        exception_handlers={404: unrouted, 405: unrouted},
    )


def _handler(one: Endpoint, serving: Serving) -> Callable[[Request], Awaitable[ASGIApp]]:
    async def handle(request: Request) -> ASGIApp:
        call = Call(request, one, serving, _id(request))
        serving.live.calls.add(call)
        inside = ExitStack()
        try:
            response = await _answered(call, inside)
        except (Gone, ClientDisconnect):
            call.code, response = "client_gone", Response(status_code=_NOBODY_WAITS)
        except TunesmithError as error:
            response = _refused(call, error)
        except Exception as error:
            _LOG.error("request %s failed", call.id, exc_info=error)
            response = _refused(call, refusal.failed("the server made a mistake; its log tells which"))
        except BaseException:  # the process ends
            serving.live.calls.discard(call)
            raise
        call.status = response.status_code
        response.headers["x-request-id"] = call.id
        if call.served is not None:
            response.headers["x-model-version"] = str(call.served.version)
        call.stream = isinstance(response, StreamingResponse)
        return _sent(response, call, inside)

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


def _sent(response: Response, call: Call, inside: ExitStack) -> ASGIApp:
    """A response that is sent to its end, however it ends; then the request is over."""

    async def send_it(scope: Scope, receive: Receive, send: Send) -> None:
        ended = False
        try:
            await response(scope, receive, _noting(send, call))
            ended = call.sent
        except (OSError, ClientDisconnect):  # whoever asked has closed the connection
            ended = False
        finally:
            if not ended and call.code is None:
                call.code = "client_gone"
            asking.leave(call)
            inside.close()
            _over(call)

    return send_it


def _over(call: Call) -> None:
    """Tell of a request; what goes wrong here is the log's business alone."""
    call.serving.live.calls.discard(call)
    try:
        trials.over(call)
        call.serving.observe(call.record())
    except Exception:
        _LOG.exception("request %s could not be told of", call.id)


def _noting(send: Send, call: Call) -> Send:
    """Sends, and notes when the last piece is sent."""

    async def noted(message: Any) -> None:
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            call.sent = True

    return noted


def _refused(call: Call, error: TunesmithError) -> Response:
    call.code = error.code
    told = refusal.told(error, plain=call.endpoint.plain_errors)
    return JSONResponse(told, error.http_status, headers=refusal.headers(error))


def _unrouted(serving: Serving) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Nobody without a key learns what paths there are."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        method = request.method if request.method in _METHODS else NO_METHOD
        plain = endpoint.tells_plainly(request.url.path)
        nowhere = Endpoint(NO_ROUTE, _nothing, "", method, plain_errors=plain)  # type: ignore[arg-type]
        call = Call(request, nowhere, serving, _id(request))
        try:
            call.key = _who(request, serving)
            code = {404: "not_found", 405: "method_not_allowed"}[error.status_code]
            raise Refusal(f"{request.method} {request.url.path}: {error.detail}", code, error.status_code)
        except TunesmithError as refused:
            response = _refused(call, refused)
            if error.status_code == refused.http_status:
                response.headers.update(error.headers or {})
        call.status = response.status_code
        response.headers["x-request-id"] = call.id
        _over(call)
        return response

    return handle


async def _nothing(_: Call) -> Response:
    raise NotImplementedError("nothing is there")


def _id(request: Request) -> str:
    """The caller's own id, where that is one, or a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _AN_ID.fullmatch(given) else uuid.uuid4().hex
