"""From a route to the thread that answers, and back: whole answers, or letters as they come.

Whoever goes away while waiting leaves nothing behind: what was asked is cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.serving import refusal
from tunesmith.serving.asked import Answered, Asked, Delta, Prompts
from tunesmith.serving.call import Call

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.params import Params

_LETTERS_A_TOKEN = 3


class Gone(Exception):  # noqa: N818
    """Whoever asked is not there any more."""


async def answer(
    call: Call,
    request: Params,
    *,
    rows: pa.Table | None = None,
    prompts: Prompts = (),
    priority: int = 0,
    time_s: float | None = None,
) -> Answered:
    """All answers to what a call asks of its model.

    Raises:
        Gone: the caller went away.
        TunesmithError: it cannot be answered.
    """
    news = _put(call, request, rows, prompts, priority, time_s, stream=False)
    try:
        outcome = await _while_there(call, _next(call, news))
    finally:
        leave(call)
    if isinstance(outcome, TunesmithError):
        raise outcome
    call.answered = outcome
    return call.answered


async def _while_there(call: Call, told: Coroutine[Any, Any, Any]) -> Any:
    """What is told, unless the caller goes away before."""
    waiting = asyncio.ensure_future(told)
    gone = asyncio.ensure_future(_disconnected(call))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Gone
        return waiting.result()
    finally:
        for future in (waiting, gone):
            future.cancel()


async def stream(
    call: Call,
    request: Params,
    *,
    rows: pa.Table | None = None,
    prompts: Prompts = (),
    priority: int = 0,
    time_s: float | None = None,
) -> AsyncIterator[Delta | Answered]:
    """Letters as they come, and last all answers. It gives back once there is something, so that a refusal comes before it.

    Raises:
        Gone: the caller went away before.
        TunesmithError: it cannot be answered.
    """
    news = _put(call, request, rows, prompts, priority, time_s, stream=True)
    try:
        first = await _while_there(call, _next(call, news))
        if isinstance(first, TunesmithError):
            raise first
    except BaseException:
        leave(call)
        raise
    return _told(call, news, first)


async def _told(call: Call, news: asyncio.Queue[Any], first: Delta | Answered) -> AsyncIterator[Delta | Answered]:
    one: Any = first
    try:
        while not isinstance(one, Answered):
            if isinstance(one, TunesmithError):
                raise one
            yield one
            one = await _next(call, news)
        call.answered = one
        yield one
    finally:
        leave(call)


async def _next(call: Call, news: asyncio.Queue[Any]) -> Any:
    """The next of the news; what is past its time is refused here, where its worker may be held up: it waits for its turn still,
    or its answer is computed as a whole.
    """
    asked = call.asked
    while asked is not None and (asked.times.started is None or _is_whole(call)):
        try:
            return await asyncio.wait_for(news.get(), max(0.0, asked.ends_at - time.monotonic()))
        except TimeoutError:
            begun = asked.times.started is not None
            if news.empty() and (not begun or _is_whole(call)):
                return refusal.late(own_time=asked.own_time, begun=begun)
    return await news.get()


def _is_whole(call: Call) -> bool:
    """Whether a call is answered as a whole, so that its time ends nothing that could be told."""
    return call.served is not None and not call.served.ends_in_time


def _put(
    call: Call,
    request: Params,
    rows: pa.Table | None,
    prompts: Prompts,
    priority: int,
    time_s: float | None,
    *,
    stream: bool,
) -> asyncio.Queue[Any]:
    assert call.served is not None
    loop, news = asyncio.get_running_loop(), asyncio.Queue[Any]()
    most = call.serving.options.max_time_s
    call.asked = Asked(
        call.served.inside,
        request,
        tell_to(loop, news),
        rows=rows,
        prompts=prompts,
        key=call.key.name,
        priority=priority,
        size=_size(rows, prompts, request),
        stream=stream,
        ends_at=time.monotonic() + min(most, time_s or most),
        own_time=time_s is not None and time_s < most,
    )
    call.served.worker.put(call.asked)
    return news


def tell_to(loop: asyncio.AbstractEventLoop, news: asyncio.Queue[Any]) -> Callable[[Any], None]:
    """Brings news from a worker's thread to a queue; a loop that is closed has nobody left to hear it."""

    def tell(one: Any) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(news.put_nowait, one)

    return tell


def leave(call: Call) -> None:
    """Nobody waits for what a call asked any more."""
    if call.asked is not None and call.asked.times.ended is None and call.served is not None:
        call.served.worker.cancel(call.asked)


async def _disconnected(call: Call) -> None:
    """Wait until whoever asks is gone."""
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def _size(rows: pa.Table | None, prompts: Prompts, request: Params) -> int:
    """About how many tokens it takes, known before anything is tokenised."""
    letters = sum(map(len, prompts)) if rows is None else rows.nbytes
    each = (getattr(request, "max_tokens", None) or 0) * getattr(request, "rows", 1)
    count = len(prompts) if rows is None else len(rows)
    return max(1, letters // _LETTERS_A_TOKEN + count * each)
