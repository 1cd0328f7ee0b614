"""Load for a server, from a process of its own: clients that ask one thing after another and check every answer.

``measured`` counts what a server does for requests of one kind; ``mixed`` has clients ask short and long, plainly and as
a stream, and go away in the middle, each request with a check of its own. Used by `benchmarks.serving`.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

LONGEST_S = 120.0
"""A request that takes longer is lost."""

LEFT = "left"
"""What a check sees of a stream that was left in the middle."""


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Args:
        kind: what it is counted as.
        path, body: as they are sent.
        stream: read it event by event.
        leave: go away after the first letters.
        wants: what the check compares with.
    """

    kind: str
    path: str
    body: Mapping[str, Any]
    stream: bool = False
    leave: bool = False
    wants: Any = None


@dataclass(frozen=True)
class Reply:
    """What came: the object, or the objects of the events."""

    status: int
    headers: Mapping[str, str]
    content: Any


Check = Callable[[Request, Reply], str | None]
"""What is wrong with an answer; None: nothing."""


@dataclass
class Tally:
    """What clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, request: Request, seconds: float, outcome: str, note: str = "") -> None:
        self.counts[outcome] += 1
        self.counts[f"{request.kind}: {outcome}"] += 1
        if outcome == "right":
            self.seconds.setdefault(request.kind, []).append(seconds)
        elif note and len(self.wrong) < 20:
            self.wrong.append(f"{request.kind}: {note}")

    def told(self) -> dict[str, Any]:
        times = {kind: _spread(seconds) for kind, seconds in sorted(self.seconds.items())}
        return {"counts": dict(sorted(self.counts.items())), "seconds": times, "wrong": self.wrong}


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    """Of times of requests."""
    cuts = quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else [*seconds] * 99
    found = {
        "requests": len(seconds),
        "median": median(seconds),
        "p90": cuts[89],
        "p99": cuts[98],
        "longest": max(seconds),
    }
    return {name: round(value, 4) for name, value in found.items()}


class Client:
    """One connection that is kept, in HTTP/1.1 over a bare socket: it costs the machine less than what it measures."""

    def __init__(self, host: str, port: int) -> None:
        self._at = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> Reply:
        """Send a request and read its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._at)
        reader, writer = self._streams
        content = json.dumps(request.body).encode()
        head = f"POST {request.path} HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        status, headers = await _head(reader)
        if request.stream and status == 200:
            return Reply(status, headers, await self._events(request, _pieces(reader, headers)))
        whole = b"".join([piece async for piece in _pieces(reader, headers)])
        if headers.get("connection") == "close":
            self.leave()
        return Reply(status, headers, json.loads(whole))

    async def _events(self, request: Request, pieces: AsyncIterator[bytes]) -> list[Any]:
        found, rest = [], b""
        async for piece in pieces:
            *events, rest = (rest + piece).split(b"\n\n")
            found += [json.loads(one[6:]) for one in events if one.startswith(b"data: {")]
            if request.leave and len(found) > 1:
                self.leave()
                return [LEFT]
        return found

    def leave(self) -> None:
        """Close the connection, whatever is under way."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _pieces(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(headers.get("content-length", 0)))
        return
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


async def one(client: Client, request: Request, check: Check, tally: Tally) -> None:
    """Ask, check, count; a server that is full is obeyed."""
    began = time.perf_counter()
    try:
        reply = await asyncio.wait_for(client.ask(request), LONGEST_S)
    except (TimeoutError, OSError, EOFError, ValueError) as error:
        client.leave()
        tally.add(request, time.perf_counter() - began, "lost", f"{type(error).__name__}: {error}")
        return
    seconds = time.perf_counter() - began
    after = reply.headers.get("retry-after")
    if reply.status == 503 and after is not None:
        tally.add(request, seconds, "refused with Retry-After")
        await asyncio.sleep(float(after))
    elif reply.status != 200:
        tally.add(request, seconds, f"status {reply.status}", str(reply.content)[:300])
    elif (why := check(request, reply)) is not None:
        tally.add(request, seconds, "wrong", why[:300])
    else:
        tally.add(request, seconds, "right")


def measured(url: str, requests: Sequence[Request], clients: int, check: Check) -> dict[str, Any]:
    """Requests divided among clients that work at the same time, in another process; ``wall_s`` is what all took.

    Args:
        url: of the server, without a path.
        requests: each is asked once.
        clients: how many.
        check: a function of a module, since it is sent to the process.
    """
    return _elsewhere(_measure, url, list(requests), clients, check)


async def _measure(url: str, requests: list[Request], clients: int, check: Check) -> dict[str, Any]:
    tally, waiting = Tally(), iter(requests)

    async def work() -> None:
        client = Client(*_place(url))
        for request in waiting:
            await one(client, request, check, tally)
        client.leave()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return {"wall_s": time.perf_counter() - began, **tally.told()}


Make = Callable[[random.Random], Request]


def mixed(url: str, make: Make, clients: int, seconds: float, check: Check) -> dict[str, Any]:
    """Clients that ask whatever ``make`` gives until the time is over, and then wait for their last answers."""
    return _elsewhere(_mix, url, make, clients, seconds, check)


async def _mix(url: str, make: Make, clients: int, seconds: float, check: Check) -> dict[str, Any]:
    tally, until = Tally(), time.monotonic() + seconds

    async def work(number: int) -> None:
        client, draw = Client(*_place(url)), random.Random(number)
        while time.monotonic() < until:
            await one(client, make(draw), check, tally)
        client.leave()

    await asyncio.gather(*(work(number) for number in range(clients)))
    return tally.told()


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def _elsewhere(work: Callable[..., Any], *given: Any) -> dict[str, Any]:
    """Do something in a process of its own, and return what it gives."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(there, work, given), daemon=True)
    process.start()
    there.close()
    try:
        found: dict[str, Any] = here.recv()
    finally:
        process.join()
    return found


def _run(pipe: Any, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    with suppress(BrokenPipeError):
        pipe.send(asyncio.run(work(*given)))
