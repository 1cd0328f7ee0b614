"""Connections: what no application sees. A request's head that is too large, too slow or none is refused; who sends and asks nothing is
let go, and so is a body that goes on after its answer, and who does not read what was asked for.

A server of uvicorn bounds neither the head of a request nor the time that it takes; both would let anybody hold memory and
connections without a key.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tunesmith.serving import refusal
from tunesmith.serving.record import NO_METHOD, NO_ROUTE, Record
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.state import Serving

MOST_HEAD_BYTES = 64 << 10
_READING = 3
"""So many times as long as a request may take to come, its answer may lie there and not be read."""


class Connection(HttpToolsProtocol):
    """A connection that is watched until a request's head is there, and again once it is answered."""

    serving: Serving

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._patience_s = self.serving.options.body_timeout_s  # a head may take as long as a body
        self._in_head, self._head_bytes = False, 0
        self._watch: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._cycles: deque[RequestResponseCycle] = deque()
        self._refused: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and has so long to say what for."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._end_watch()
        self._end_stuck()
        super().connection_lost(exc)
        for cycle in self._cycles:  # uvicorn tells the last one alone, and others would write to nobody
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._head_bytes += len(data) if self._in_head else 0
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(_too_large())
        elif self._watch is None and self.timeout_keep_alive_task is None and not self._is_answering:
            self._be_patient()  # what comes belongs to no request: a body whose answer is there, or line ends

    def on_message_begin(self) -> None:
        """A request begins, and its head has so long to come."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._end_watch()
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD_BYTES:
            self._refused = _too_large()
            raise ValueError("the head is too large")  # the parser stops, and has it refused
        super().on_headers_complete()
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read."""
        self._refuse(self._refused or Refusal("this is no request of HTTP/1.1", "invalid_http"))

    def pause_writing(self) -> None:
        """An answer is not read as fast as it is given; whoever reads none of it at all is let go."""
        super().pause_writing()
        self._end_stuck()
        self._stuck = self.loop.call_later(_READING * self._patience_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It is read."""
        self._end_stuck()
        super().resume_writing()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self) -> None:
        self._began, self._at = time.monotonic(), time.time()
        self._be_patient()

    def _be_patient(self) -> None:
        self._end_watch()
        self._watch = self.loop.call_later(self._patience_s, self._give_up)

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _end_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _give_up(self) -> None:
        self._watch = None
        if self.transport.is_closing():
            return
        if self._is_answering:
            if self._in_head:  # of the next request, which has its time once this one is answered
                self._be_patient()
        elif self._in_head:
            message = f"the request's head was not there after {self._patience_s:g} seconds"
            self._refuse(Refusal(message, "head_too_slow", 408))
        else:
            self.transport.close()

    def _refuse(self, refused: Refusal) -> None:
        """Say why, where everybody hears of it, and close; into the middle of an answer nothing is written."""
        self._end_watch()
        if not self._is_answering or not self.cycle.response_started:
            content, named = json.dumps(refusal.told(refused)).encode(), uuid.uuid4().hex
            told = (
                b"content-type: application/json",
                b"content-length: %d" % len(content),
                b"connection: close",
                b"x-request-id: " + named.encode(),
            )
            self.transport.write(STATUS_LINE[refused.http_status] + b"\r\n".join(told) + b"\r\n\r\n" + content)
            self._tell_of(refused, named)
        self.transport.close()

    def _tell_of(self, refused: Refusal, named: str) -> None:
        took_s = time.monotonic() - self._began
        record = Record(named, NO_ROUTE, NO_METHOD, refused.http_status, self._at, took_s, code=refused.code)
        self.serving.observe(record)


def of(serving: Serving) -> type[Connection]:
    """Connections of a server."""
    return type("Connection", (Connection,), {"serving": serving})


def _too_large() -> Refusal:
    return Refusal(f"the request's head is larger than {MOST_HEAD_BYTES:,} bytes", "head_too_large", 431)
