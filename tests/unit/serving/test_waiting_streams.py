"""Who goes away while waiting leaves nothing behind."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from served import Served

LONG: dict[str, Any] = {
    "model": "chat",
    "messages": [{"role": "user", "content": "the bank"}],
    "stream": True,
    "max_tokens": 2000,
    "min_tokens": 2000,
    "temperature": 1.0,
}


def ask(server: Served, body: Any) -> socket.socket:
    """A request whose answer is not read."""
    content = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    found = socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0))
    found.sendall(head.encode() + content)
    return found


def wait_for(server: Served, inside: int) -> None:
    until = time.monotonic() + 20
    while server.serving.gate.inside != inside:
        assert time.monotonic() < until, f"{server.serving.gate.inside} are inside, not {inside}"
        time.sleep(0.01)


def test_a_stream_that_has_not_begun_is_left(writing: Served) -> None:
    """It waits for a row: all of them are taken by the first."""
    first = ask(writing, {**LONG, "n": 16})
    with first:
        assert first.recv(12) == b"HTTP/1.1 200"
        with ask(writing, LONG):
            wait_for(writing, 2)
        wait_for(writing, 1)
    wait_for(writing, 0)
    worker = writing.serving.models.find("chat").worker
    until = time.monotonic() + 20
    while not worker.idle:
        assert time.monotonic() < until, worker.load
        time.sleep(0.01)
