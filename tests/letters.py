"""A route for tests that streams the letters of an answer, and last the whole of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from starlette.responses import Response

from tunesmith.serving import asking, checking, endpoint
from tunesmith.serving.asked import Delta
from tunesmith.serving.call import Call
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import events
from tunesmith.serving.routes.predict import Body

PATH = "/letters/chat"


async def stream(call: Call) -> Response:
    body, rest = checking.own(call, Body, model="chat")
    call.served = call.serving.models.find(body.model)
    checked = checking.request(call, call.served, body, rest)
    rows = call.served.model.rows([body.inputs])
    news = await asking.stream(call, checked.request, rows=rows, time_s=body.time)

    async def told() -> AsyncIterator[Any]:
        async for one in news:
            if isinstance(one, Delta):
                yield {"letters": one.text}
            else:
                (written,) = one.generated[0][0]
                yield {"text": written.text, "reason": written.finish_reason, "tokens": one.tokens}

    return events(told(), call)


@contextmanager
def route() -> Iterator[None]:
    """The server that is made while it lasts has the route."""
    every = [*endpoint.every(), Endpoint(PATH, stream, "Letters.", takes=dict)]
    with mock.patch.object(endpoint, "every", return_value=every):
        yield
