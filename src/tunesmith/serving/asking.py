"""From a route to the thread that answers, and back: whole answers, or letters as they come.

Whoever goes away while waiting leaves nothing behind: what was asked is cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.serving.asked import Answered, Asked, Delta
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
    prompts: tuple[str, ...] = (),
    priority: int = 0,
    time_s: float | None = None,
) -> Answered:
    """All answers to what a call asks of its model.

    Raises:
        Gone: the caller went away.
        TunesmithError: it cannot be answered.
    """
    news = _put(call, request, rows, prompts, priority, time_s, stream=False)
    waiting = asyncio.ensure_future(news.get())
    gone = asyncio.ensure_future(_disconnected(call))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Gone
        outcome = waiting.result()
    finally:
        for future in (waiting, gone):
            future.cancel()
        _leave(call)
    if isinstance(outcome, TunesmithError):
        raise outcome
    call.answered = outcome
    return call.answered


async def stream(
    call: Call,
    request: Params,
    *,
    rows: pa.Table | None = None,
    prompts: tuple[str, ...] = (),
    priority: int = 0,
    time_s: float | None = None,
) -> AsyncIterator[Delta | Answered]:
    """Letters as they come, and last all answers. What is asked is queued at once, so that a refusal comes before the first.

    Raises:
        TunesmithError: it cannot be answered.
    """
    return _told(call, _put(call, request, rows, prompts, priority, time_s, stream=True))


async def _told(call: Call, news: asyncio.Queue[Any]) -> AsyncIterator[Delta | Answered]:
    try:
        while True:
            one = await news.get()
            if isinstance(one, TunesmithError):
                raise one
            if isinstance(one, Answered):
                call.answered = one
            yield one
            if isinstance(one, Answered):
                return
    finally:
        _leave(call)


def _put(
    call: Call,
    request: Params,
    rows: pa.Table | None,
    prompts: tuple[str, ...],
    priority: int,
    time_s: float | None,
    *,
    stream: bool,
) -> asyncio.Queue[Any]:
    assert call.served is not None
    loop, news = asyncio.get_running_loop(), asyncio.Queue[Any]()
    most = call.serving.options.max_time_s
    call.asked = Asked(
        call.served.name,
        request,
        lambda one: _tell(loop, news, one),
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


def _tell(loop: asyncio.AbstractEventLoop, news: asyncio.Queue[Any], one: Any) -> None:
    """In the worker's thread; a loop that is closed has nobody left to hear it."""
    try:
        loop.call_soon_threadsafe(news.put_nowait, one)
    except RuntimeError:
        return


def _leave(call: Call) -> None:
    if call.asked is not None and call.asked.times.ended is None and call.served is not None:
        call.served.worker.cancel(call.asked)


async def _disconnected(call: Call) -> None:
    """Wait until whoever asks is gone."""
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


def _size(rows: pa.Table | None, prompts: tuple[str, ...], request: Params) -> int:
    """About how many tokens it takes, known before anything is tokenised."""
    letters = sum(map(len, prompts)) if rows is None else rows.nbytes
    each = (getattr(request, "max_tokens", None) or 0) * getattr(request, "rows", 1)
    count = len(prompts) if rows is None else len(rows)
    return max(1, letters // _LETTERS_A_TOKEN + count * each)
