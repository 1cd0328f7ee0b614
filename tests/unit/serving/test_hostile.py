"""Whoever means harm, on bare sockets: each is refused within a second, or let go in time; nothing is left behind, and the log has no
traceback.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from holding import held, until
from served import Served, running
from tunesmith.serving import connections
from tunesmith.serving.record import Record

PATIENCE_S = 1.0
PATH = b"/v1/predict/reviews"
ASKED = b'{"inputs": "a fine film"}'


@pytest.fixture(scope="module")
def server(bundles: Callable[..., Path]) -> Iterator[Served]:
    with running({"reviews": bundles("binary")}, **{"body-timeout": PATIENCE_S}) as made:
        yield made


@pytest.fixture(autouse=True)
def harmless(server: Served, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After each: an honest request is answered at once, nobody is inside, and nothing went wrong."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [
        record.getMessage() for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR
    ] == []
    assert server.post(PATH.decode(), json.loads(ASKED)).status == 200
    until(lambda: server.serving.gate.inside == 0)
    assert server.serving.live.calls == set()


def post(content: bytes, *more: bytes, path: bytes = PATH, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    head = (b"POST %s HTTP/1.1" % path, b"Host: here", b"Content-Length: %d" % size, *more)
    return b"\r\n".join(head) + b"\r\n\r\n" + content


def line(server: Served) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def heard(connection: socket.socket) -> bytes:
    """Everything until the server closes, or waits for more."""
    found = b""
    try:
        while piece := connection.recv(1 << 16):
            found += piece
            if _is_whole(found):
                return found
    except ConnectionError:  # it closed before all was sent, and what it said before was read
        pass
    return found


def _is_whole(found: bytes) -> bool:
    head, there, content = found.partition(b"\r\n\r\n")
    sizes = [int(one.split(b":")[1]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length")]
    return bool(there) and len(content) >= sum(sizes)


def ask(server: Served, *pieces: bytes) -> tuple[int, Any]:
    """The status and what is told, where it is JSON, of the first answer."""
    with line(server) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except ConnectionError:  # it answers before all is sent
            pass
        found = heard(connection)
    head, _, content = found.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content) if content.startswith(b"{") else content


def code(told: Any) -> Any:
    return told["error"]["code"]


HEADERS = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(5000))
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "a million tokens": (post(json.dumps({"inputs": "a " * 500_000}).encode()), 400, "input_too_long"),
    "five million letters": (post(json.dumps({"inputs": "word " * 1_000_000}).encode()), 413, "body_too_large"),
    "half a million numbers": (post(b'{"inputs": [' + b"1," * 500_000 + b"1]}"), 400, "too_many_inputs"),
    "deep": (post(b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), 400, "invalid_json"),
    "deep objects": (post(b'{"inputs": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"), 400, "invalid_json"),
    "no number": (post(b'{"inputs": "a", "threshold": NaN}'), 400, "invalid_json"),
    "infinite": (post(b'{"inputs": "a", "threshold": Infinity}'), 400, "invalid_json"),
    "no utf-8": (post(b'{"inputs": "\xff\xfe"}'), 400, "invalid_json"),
    "wrong type": (post(b'{"inputs": {"text": [1]}}'), 400, "invalid_value"),
    "doubled": (post(b'{"inputs": "a", "inputs": "b"}'), 400, "invalid_json"),
    "packed": (post(gzip.compress(ASKED), b"Content-Encoding: gzip"), 415, "unsupported_media_type"),
    "packed, not said": (post(gzip.compress(ASKED)), 400, "invalid_json"),
    "a short length": (post(ASKED, length=5), 400, "invalid_http"),
    "no length": (b"POST %s HTTP/1.1\r\nHost: a\r\n\r\n" % PATH, 400, "invalid_json"),
    "a length below none": (b"POST %s HTTP/1.1\r\nContent-Length: -5\r\n\r\n" % PATH, 400, "invalid_http"),
    "a length beyond all": (b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PATH, 10**30), 400, "invalid_http"),
    "a vast length": (b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PATH, 10**15), 413, "body_too_large"),
    "two lengths": (b"POST %s HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" % PATH, 400, "invalid_http"),
    "length and pieces": (post(b"", b"Transfer-Encoding: chunked", length=4), 400, "invalid_http"),
    "pieces that are none": (
        b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % PATH, 400, "invalid_http",
    ),
    "a huge header": (b"GET /health HTTP/1.1\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n", 431, "head_too_large"),
    "many headers": (b"GET /health HTTP/1.1\r\n" + HEADERS + b"\r\n", 431, "head_too_large"),
    "a long address": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n\r\n", 431, "head_too_large"),
    "a strange address": (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 400, "invalid_http"),
    "half a character in the address": (b"GET /%ff%fe HTTP/1.1\r\n\r\n", 404, "not_found"),
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, 400, "invalid_http"),
    "a line in a header": (b"GET /health HTTP/1.1\r\nX: a\nY\r\n\r\n", 400, "invalid_http"),
    "connect": (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 400, "invalid_http"),
    "options": (b"OPTIONS %s HTTP/1.1\r\nHost: a\r\n\r\n" % PATH, 405, "method_not_allowed"),
    "options of all": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404, "not_found"),
    "trace": (b"TRACE /health HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_not_allowed"),
    "a method that is none": (b"DANCE /health HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid_http"),
    "a query that is none": (post(ASKED, path=PATH + b"?%ff=%00&&&=" + b"a" * 1000), 400, "unknown_parameter"),
    "a name with a line in it": (post(b'{"inputs": "a", "a\\r\\nX: y": 1}'), 400, "unknown_parameter"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_within_a_second(server: Served, kind: str) -> None:
    sent, status, why = REFUSED[kind]
    began = time.process_time()
    found, told = ask(server, sent)
    assert (found, code(told)) == (status, why), str(told)[:500]
    assert time.process_time() - began < 2  # the rest is for busy machines


@pytest.mark.parametrize("kind", ["no http", "a huge header", "a head that never ends"])
def test_what_no_application_sees_is_told_of_too(server: Served, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Record] = []
    monkeypatch.setitem(server.serving.observers, "test", records.append)
    sent, status, why = REFUSED.get(kind, (b"GET /health HTTP/1.1\r\nX", 408, "head_too_slow"))
    with line(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        found = heard(connection)
    (record,) = records
    assert (record.status, record.code, record.route, record.method) == (status, why, "unknown", "other")
    assert f"x-request-id: {record.id}".encode() in found
    assert abs(record.at - time.time()) < 60
    assert (record.duration_s > 0.9 * PATIENCE_S) == (status == 408)
    counted = f'tunesmith:requests_total{{method="other",route="unknown",status="{status}"}}'
    assert counted in server.get("/metrics").body


def test_what_may_come_is_answered(server: Served) -> None:
    body = b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    assert ask(server, body)[0] == 200
    with line(server) as connection:
        connection.sendall(b"HEAD /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        found = b"".join(iter(lambda: connection.recv(4096), b""))
    assert found.startswith(b"HTTP/1.1 200")
    assert found.endswith(b"\r\n\r\n")
    upgrade = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
    assert ask(server, upgrade)[0] == 200
    pieces = b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (PATH, len(ASKED), ASKED)
    assert ask(server, pieces)[0] == 200
    assert ask(server, *[pieces[at : at + 1] for at in range(len(pieces))])[0] == 200
    expected = post(ASKED, b"Expect: 100-continue")
    with line(server) as connection:
        connection.sendall(expected)
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert heard(connection).startswith(b"HTTP/1.1 200")


def test_requests_one_after_the_other_are_answered_in_their_order(server: Served) -> None:
    kinds = [post(ASKED), b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", post(b'{"inputs": 5}')] * 20
    with line(server) as connection:
        connection.sendall(b"".join(kinds) + b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n")
        found = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    statuses = [int(one[:3]) for one in found.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 400] * 20 + [404]


def let_go(connection: socket.socket, drip: bytes, every_s: float = 0.05) -> tuple[float, bytes]:
    """Drip bytes until the server closes; after how long it did, and what it said."""
    began, found = time.monotonic(), b""
    connection.settimeout(every_s)
    while time.monotonic() - began < 15:
        try:
            connection.sendall(drip)
            piece = connection.recv(4096)
            if not piece:
                return time.monotonic() - began, found
            found += piece
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - began, found
    raise AssertionError(f"it is held on to; it said {found!r}")


SLOW: dict[str, tuple[bytes, bytes, str]] = {
    "a head without end": (b"GET /health HTTP/1.1\r\n", b"X: a\r\n", "head_too_slow"),
    "a first line without end": (b"GET /", b"a", "head_too_slow"),
    "nothing at all": (b"", b"", ""),
    "ends of lines": (b"", b"\r\n", ""),
    "a body letter by letter": (post(b"", length=1000), b" ", "body_too_slow"),
    "pieces without end": (
        b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH, b"1\r\n \r\n", "body_too_slow",
    ),
    "a body that nobody asked for": (
        b"GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", "200 OK",
    ),
    "a body far longer than said is taken": (
        b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (PATH, 1 << 40) + b" " * (2 << 20),
        b" " * 1000, "body_too_large",
    ),
    "ends of lines after an answer": (b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", "200 OK"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SLOW)
def test_whoever_is_slow_is_let_go_in_time(server: Served, kind: str) -> None:
    first, drip, told = SLOW[kind]
    with line(server) as connection:
        try:
            connection.sendall(first)
        except ConnectionError:
            pytest.fail("it was let go too early")
        after_s, found = let_go(connection, drip)
    assert 0.5 < after_s < 3 * PATIENCE_S + 6
    assert told.encode() in found


def test_many_who_are_slow_keep_nobody_out(server: Served) -> None:
    every = [line(server) for _ in range(200)]
    for number, connection in enumerate(every):
        connection.sendall(b"GET /health HTTP/1.1\r\n" if number % 2 else post(b"{", length=100))
    began = time.monotonic()
    assert server.post(PATH.decode(), json.loads(ASKED)).status == 200
    assert time.monotonic() - began < 5
    for connection in every:
        assert heard(connection).startswith(b"HTTP/1.1 408")
        connection.close()


def stays(server: Served, inside: int) -> bool:
    """Whether so many requests are inside for some time; while answers are taken, one after another comes and goes."""
    for _ in range(40):
        if server.serving.gate.inside != inside:
            return False
        time.sleep(0.01)
    return True


def test_whoever_does_not_read_is_let_go(server: Served) -> None:
    """Much is asked and nothing taken, so that an answer stays stuck in the middle."""
    count = 400
    with line(server) as connection:
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        began = time.monotonic()
        until(lambda: stays(server, 1))
        until(lambda: stays(server, 0), timeout_s=30)
        assert time.monotonic() - began > PATIENCE_S
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                found += piece
    assert 0 < found.count(b"HTTP/1.1 200") < count


def test_whoever_asks_much_at_once_and_goes(server: Served) -> None:
    worker = server.serving.models.find("reviews").worker
    for _ in range(10):
        with line(server) as connection:
            connection.sendall(post(ASKED) * 50)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is cut off
    until(lambda: server.serving.gate.inside == 0 and worker.idle)


def test_a_head_that_comes_early_has_its_time_after_the_answer_before_it(server: Served) -> None:
    worker = server.serving.models.find("reviews").worker
    with line(server) as connection:
        with held(worker):
            connection.sendall(post(ASKED) + b"GET /health HTTP/1.1\r\n")
            time.sleep(2.5 * PATIENCE_S)
        assert heard(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b"Host: a\r\n\r\n")
        assert heard(connection).startswith(b"HTTP/1.1 200")


def test_memory_stays_flat(server: Served) -> None:
    def all_of_them() -> None:
        for sent, _, _ in REFUSED.values():
            ask(server, sent)
        with line(server) as connection:
            try:
                connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
                for _ in range(32):
                    connection.sendall(b"a" * (1 << 20))
            except ConnectionError:
                pass

    all_of_them()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        all_of_them()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 << 10


def test_a_head_may_be_as_large_as_it_may(server: Served) -> None:
    value = b"a" * (connections.MOST_HEAD_BYTES - 1000)
    assert ask(server, b"GET /health HTTP/1.1\r\nX: " + value + b"\r\n\r\n")[0] == 200
