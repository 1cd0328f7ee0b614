"""Bodies that are no requests: each is refused at once, by its code, and leaves nothing behind.

Seconds are those of the processor, in which tests beside these do not count.
"""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from served import Reply, Served, running
from tunesmith.serving import body
from tunesmith.serving.refusal import Refusal

PATH = "/v1/predict/reviews"
LIMIT = 1 << 20


def refused(content: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        body.parse(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "a list, not an object"),
        (b"1", "a int, not an object"),
        (b"null", "a NoneType, not an object"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 400 + b"}", "too large"),
        (b'{"a": "\xff"}', "byte 7 is no UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "no UTF-8"),
        (b'{"a": "\\ud800"}', "half of a character"),
        (b'{"\\udfff": 1}', "half of a character"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands there twice"),
        (b'{"x": {"a": 1, "a": 1}}', "the key 'a' stands there twice"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 64"),
        (b"[" * 500_000, "nested too deep"),
        (b'{"a": 1} {"b": 2}', "Extra data"),
        (b'{"a": "\t\n"}', "Invalid control character"),
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(content: bytes, told: str) -> None:
    began = time.process_time()
    assert told in refused(content)
    assert time.process_time() - began < 5


def test_whole_characters_and_numbers_are_taken() -> None:
    assert body.parse(b'{"a": "\\ud83d\\ude00\\u0000", "b": 9223372036854775807}') == {"a": "😀\0", "b": 2**63 - 1}
    assert body.parse(b'{"a": 9223372036854775808, "b": -1e300}') == {"a": 2.0**63, "b": -1e300}


def test_a_key_that_stands_there_twice_is_found_among_very_many() -> None:
    names = [f'"{number}": 0' for number in range(60_000)]
    content = ("{" + ", ".join([*names, '"0": 1']) + "}").encode()
    began = time.process_time()
    assert "the key '0' stands there twice" in refused(content)
    assert time.process_time() - began < 5


def test_what_takes_long_is_done_beside_the_loop(bundles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that are large, and many inputs; small ones need no thread."""
    seen: dict[str, set[str]] = {"parse": set(), "rows": set()}
    with running({"reviews": bundles("binary")}, **{"max-inputs": 1000, "max-body-bytes": 4 << 20}) as server:
        model = server.serving.models.find("reviews").model
        for owner, name in ((body, "parse"), (model, "rows")):
            plain = getattr(owner, name)

            def noted(given: Any, name: str = name, plain: Any = plain) -> Any:
                seen[name].add(threading.current_thread().name)
                return plain(given)

            monkeypatch.setattr(owner, name, noted)
        assert server.post(PATH, {"inputs": "a film"}).status == 200
        loop = {name: set(threads) for name, threads in seen.items()}
        assert loop["parse"] == loop["rows"]
        for threads in seen.values():
            threads.clear()
        assert len(server.post(PATH, {"inputs": ["a fine film " * 200] * 1000}).body["answers"]) == 1000
        assert len(seen["parse"]) == len(seen["rows"]) == 1
        assert not seen["parse"] & loop["parse"]
        assert not seen["rows"] & loop["rows"]
        assert server.post(PATH, {"inputs": ["a"] * 999 + [5]}).body["error"]["code"] == "invalid_value"


TERRIBLE: dict[str, tuple[bytes, int, str]] = {
    "huge": (json.dumps({"inputs": "a " * LIMIT}).encode(), 413, "body_too_large"),
    "a million words": (json.dumps({"inputs": ["word " * 1_000_000]}).encode(), 413, "body_too_large"),
    "a long text": (json.dumps({"inputs": "word " * 180_000}).encode(), 400, "input_too_long"),
    "deep": (b'{"inputs": ' + b"[" * 400_000 + b"]" * 400_000 + b"}", 400, "invalid_json"),
    "no number": (b'{"inputs": "a", "threshold": NaN}', 400, "invalid_json"),
    "infinite": (b'{"inputs": "a", "threshold": 1e400}', 400, "invalid_json"),
    "no utf-8": (b'{"inputs": "\xc3\x28"}', 400, "invalid_json"),
    "half a character": (b'{"inputs": "\\ud800"}', 400, "invalid_json"),
    "half a character in a name": (b'{"inputs": "a", "\\ud800": 1}', 400, "invalid_json"),
    "wrong type": (b'{"inputs": 5}', 400, "invalid_value"),
    "no inputs": (b"{}", 400, "invalid_value"),
    "an empty text": (b'{"inputs": ""}', 400, "invalid_value"),
    "null": (b'{"inputs": null}', 400, "invalid_value"),
    "nulls": (b'{"inputs": [null, {}, [], 1, true, [[]]]}', 400, "invalid_value"),
    "doubled": (b'{"inputs": "a", "inputs": "b"}', 400, "invalid_json"),
    "many inputs": (json.dumps({"inputs": ["a"] * 200_000}).encode(), 400, "too_many_inputs"),
    "a large number": (b'{"inputs": "a", "top_k": 1' + b"0" * 200 + b"}", 400, "invalid_value"),
    "a large number as text": (b'{"inputs": "a", "top_k": "1' + b"0" * 200 + b'"}', 400, "invalid_value"),
    "unknown names": (json.dumps({"inputs": "a", **{f"treshold{n}": 1 for n in range(40_000)}}).encode(), 400, "unknown_parameter"),
    "a long name": (json.dumps({"inputs": "a", "treshold" * 100_000: 1}).encode(), 400, "unknown_parameter"),
    "a long value": (json.dumps({"inputs": "a", "activation": "x" * 900_000}).encode(), 400, "invalid_value"),
    "a long model": (json.dumps({"inputs": "a", "preset": "x" * 900_000}).encode(), 400, "invalid_value"),
    "many labels": (json.dumps({"inputs": "a", "threshold": {f"l{n}": 0.5 for n in range(40_000)}}).encode(), 400, "invalid_value"),
    "many wrong values": (json.dumps({"inputs": "a", "threshold": {f"l{n}": "x" for n in range(40_000)}}).encode(), 400, "invalid_value"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TERRIBLE)
def test_terrible_bodies_are_refused_within_a_second(every_task: Served, kind: str) -> None:
    content, status, code = TERRIBLE[kind]
    reply, took_s = timed(every_task, PATH, content)
    assert (reply.status, reply.body["error"]["code"]) == (status, code), str(reply.body)[:500]
    assert len(json.dumps(reply.body)) < 60_000
    assert took_s < 5  # the rest is for busy machines


WRITES: dict[str, tuple[dict[str, Any], int]] = {
    "stops": ({"stop": [""] * 40_000}, 400),
    "wrong stops": ({"stop": [0] * 200_000}, 400),
    "tokens": ({"logit_bias": {str(n): 1000 for n in range(40_000)}}, 400),
    "unknown tokens": ({"allowed_token_ids": [10**9] * 1000}, 400),
    "banned": ({"bad_words": ["\0"] * 3}, 200),
    "a format": ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}}, 400),
    "a deep format": ({"response_format": {"type": "regex", "regex": "(" * 20_000}}, 400),
    "a grammar": ({"response_format": {"type": "grammar", "grammar": "start: nothing"}}, 400),
    "a vast pattern": ({"response_format": {"type": "regex", "regex": "((a{1,1000}){1,1000}){1,1000}"}}, 200),
    "many": ({"n": 128, "max_tokens": 2**62, "temperature": 1}, 400),
    "most tokens": ({"max_tokens": 2**62}, 400),
}


@pytest.mark.parametrize("kind", WRITES)
def test_terrible_parameters_of_writing_are_seen_to_within_a_second(every_task: Served, kind: str) -> None:
    parameters, status = WRITES[kind]
    reply, took_s = timed(every_task, "/v1/predict/chat", json.dumps({"inputs": "a film", **parameters}).encode())
    assert reply.status == status, str(reply.body)[:500]
    assert took_s < 5  # the rest is for busy machines
    assert every_task.get("/ready").status == 200


def timed(server: Served, path: str, content: bytes) -> tuple[Reply, float]:
    began = time.process_time()
    try:
        return server.post(path, content), time.process_time() - began
    except (ConnectionError, OSError):  # it answers before all is sent, and then need not read the rest
        return raw(server, path, content), time.process_time() - began


def raw(server: Served, path: str, content: bytes) -> Reply:
    """Ask with the body's length alone: what is refused by it is not read."""
    with connected(server) as line:
        line.sendall(head(path, len(content)))
        text = line.recv(65536).decode()
    status, told = int(text.split()[1]), text.partition("\r\n\r\n")[2]
    return Reply(status, json.loads(told), {})


def connected(server: Served) -> socket.socket:
    place = urlsplit(server.url)
    return socket.create_connection((place.hostname, place.port), timeout=10)


def head(path: str, length: int) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: here", "Content-Type: application/json", f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_memory_stays_flat_whatever_comes(every_task: Served) -> None:
    for content, _, _ in TERRIBLE.values():
        timed(every_task, PATH, content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        for content, _, _ in TERRIBLE.values():
            timed(every_task, PATH, content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_slow_body_is_given_up(every_task: Served) -> None:
    began = time.monotonic()
    with connected(every_task) as line:
        line.sendall(head(PATH, 100) + b'{"inputs"')
        text = line.recv(65536).decode()
    assert text.split()[1] == "408"
    assert '"body_too_slow"' in text
    assert 1.5 < time.monotonic() - began < 20
    assert every_task.serving.gate.inside == 0


def test_a_body_that_lies_about_its_length(every_task: Served) -> None:
    with connected(every_task) as line:
        chunks = head(PATH, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        line.sendall(chunks + b"200000\r\n" + b" " * (1 << 21) + b"\r\n0\r\n\r\n")
        text = line.recv(65536).decode()
    assert text.split()[1] == "413"


def test_what_is_not_called_json_is_refused(every_task: Served) -> None:
    reply = every_task.post(PATH, b"inputs=a", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert (reply.status, reply.body["error"]["code"]) == (415, "unsupported_media_type")
