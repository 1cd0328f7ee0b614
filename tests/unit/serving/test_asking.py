"""From a route to the thread that answers: refused when full, ended in time, given up when nobody waits."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import letters
from holding import held, slow, until
from served import Served, running
from tunesmith import presets
from tunesmith.presets import Preset
from tunesmith.serving.worker import Worker

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
LONG = {"inputs": "a fine film", "max_tokens": 64, "ignore_eos": True, "temperature": 0.0}
PATH = "/v1/predict/chat"


@pytest.fixture(scope="module")
def server(bundles: Callable[..., Path]) -> Iterator[Served]:
    options = {"max-waiting": 2, "max-rows": 2, "max-body-bytes": 4096, "max-inputs": 3, "max-input-chars": 500}
    with running(
        {"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)},
        **options,
        **{"max-answer-tokens": 100, "max-time": 60},
    ) as made:
        yield made


@pytest.fixture(scope="module")
def lettered(bundles: Callable[..., Path]) -> Iterator[Served]:
    """A server with a route that streams letters."""
    with letters.route(), running({"chat": bundles("conversations", **WRITES)}) as made:
        yield made


def worker(server: Served, name: str = "chat") -> Worker:
    return server.serving.models.find(name).worker


@contextmanager
def connected(server: Served, path: str, body: object) -> Iterator[socket.socket]:
    """A request that is sent and whose answer nobody reads."""
    parts = urlsplit(server.url)
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(head.encode() + content)
        yield connection


def in_threads(ask: Callable[[], object], count: int) -> tuple[list[threading.Thread], list]:
    found: list = []
    threads = [threading.Thread(target=lambda: found.append(ask())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


@pytest.mark.parametrize("name", ["reviews", "chat"])
def test_a_full_queue_refuses_before_anything_is_tokenised(server: Served, monkeypatch, name: str):
    model, tokenised = server.serving.models.find(name).model, []
    kind = type(model.tokenizer)
    plain = kind.__call__

    def counted(self, *args, **options):
        tokenised.append(args)
        return plain(self, *args, **options)

    monkeypatch.setattr(kind, "__call__", counted)
    path = f"/v1/predict/{name}"
    with held(worker(server, name)):
        threads, found = in_threads(lambda: server.post(path, {"inputs": "a film"}), 2)
        until(lambda: len(worker(server, name).queue) == 2)
        refused = server.post(path, {"inputs": "a film"})
        assert (refused.status, refused.body["error"]["code"]) == (503, "server_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert int(refused.headers["retry-after-ms"]) > 0
        assert tokenised == []
    for thread in threads:
        thread.join()
    assert [reply.status for reply in found] == [200, 200]
    assert tokenised


def test_a_request_that_is_larger_than_the_queue_is_answered_when_nothing_waits(server: Served):
    assert len(server.post("/v1/predict/reviews", {"inputs": ["a", "b", "c"]}).body["answers"]) == 3


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"inputs": "x" * 5000}, 413, "body_too_large", None),
        ({"inputs": ["a"] * 4}, 400, "too_many_inputs", None),
        ({"inputs": "x" * 501}, 400, "input_too_long", None),
        ({"inputs": ["a", "a"], "max_tokens": 51}, 400, "too_many_tokens", "max_tokens"),
        ({"inputs": "a", "max_tokens": 51, "n": 2, "temperature": 1.0}, 400, "too_many_tokens", "max_tokens"),
    ],
)
def test_what_is_larger_than_a_request_may_be_is_refused(server: Served, body, status, code, param):
    refused = server.post(PATH, body)
    assert (refused.status, refused.body["error"]["code"], refused.body["error"]["param"]) == (status, code, param)


def test_who_says_nothing_of_the_length_gets_no_more_than_the_server_gives(
    bundles: Callable[..., Path], tmp_path: Path
):
    folder = shutil.copytree(bundles("conversations", **WRITES), tmp_path / "chat")
    presets.save(folder, "open", Preset({"max_tokens": None, "ignore_eos": True, "temperature": 0.0}))
    with running({"chat": folder}, **{"max-answer-tokens": 20}) as made:
        one = made.post(PATH, {"inputs": "a fine film", "preset": "open"}).body
        assert (one["usage"]["completion_tokens"], one["effective_parameters"]["max_tokens"]) == (20, 20)
        two = made.post(PATH, {"inputs": ["a fine film", "rain"], "preset": "open"}).body
        assert [answer["tokens"] for answer in two["answers"]] == [10, 10]
        more = {"preset": "open", "model": "chat"}
        chat = made.post("/v1/chat/completions", {**more, "messages": [{"role": "user", "content": "rain"}]}).body
        assert (chat["usage"]["completion_tokens"], chat["effective_parameters"]["max_tokens"]) == (20, 20)
        raw = made.post("/v1/completions", {**more, "prompt": ["a film", "rain"], "n": 2, "temperature": 1}).body
        assert raw["usage"]["completion_tokens"] == 20
        for asked in ({"inputs": ["a", "b"], "n": 11, "temperature": 1}, {"inputs": "a", "min_tokens": 21}):
            refused = made.post(PATH, {**asked, "preset": "open"}).body["error"]
            assert (refused["code"], refused["param"]) == ("too_many_tokens", "max_tokens")
    with running({"chat": folder}) as made:
        whole = made.post(PATH, {"inputs": "a fine film", "preset": "open"}).body
        context = made.serving.models.find("chat").model.engine.facts.context
        assert whole["usage"]["total_tokens"] == context < 32768
        assert whole["effective_parameters"]["max_tokens"] is None


def test_what_is_answered_whole_is_refused_when_its_time_is_over(server: Served, monkeypatch: pytest.MonkeyPatch):
    """Its worker is held up, and nobody who asks meanwhile is refused for that."""
    model, go = server.serving.models.find("reviews").model, threading.Event()
    plain = model.read
    monkeypatch.setattr(model, "read", lambda *given: (go.wait(20), plain(*given))[1])
    began = time.monotonic()
    refused = server.post("/v1/predict/reviews", {"inputs": "a film", "time": 0.3})
    assert 0.25 < time.monotonic() - began < 10.0
    assert (refused.status, refused.body["error"]["code"]) == (408, "own_time_passed")
    assert "its answer was not there" in refused.body["error"]["message"]
    threads, found = in_threads(lambda: server.post("/v1/predict/reviews", {"inputs": "a film"}), 1)
    until(lambda: len(worker(server, "reviews").queue) == 1)
    go.set()
    threads[0].join()
    assert found[0].status == 200
    until(lambda: worker(server, "reviews").idle)


def test_a_body_without_a_told_length_is_refused_as_soon_as_it_is_too_large(server: Served):
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    pieces = iter([b'{"inputs": "', *[b"x" * 1000] * 20, b'"}'])
    connection.request("POST", PATH, pieces, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_an_answer_that_is_cut_by_its_time_ends_as_it_stands(server: Served):
    with slow(worker(server), 0.05):
        began = time.monotonic()
        reply = server.post(PATH, {**LONG, "time": 0.5})
        took = time.monotonic() - began
    (answer,) = reply.body["answers"]
    assert reply.status == 200
    assert took > 0.4
    assert answer["finish_reason"] == "length"
    assert 0 < answer["tokens"] < 64
    assert any("time" in warning for warning in answer["warnings"])
    whole = server.post(PATH, LONG).body["answers"][0]
    assert whole["tokens"] == 64
    assert "warnings" not in whole
    text = next(name for name in answer if isinstance(answer[name], str) and name not in ("finish_reason", "engine"))
    assert whole[text].startswith(answer[text])


def test_one_that_waits_as_long_as_it_may_take_is_told_so(server: Served):
    with held(worker(server)):
        began = time.monotonic()
        refused = server.post(PATH, {**LONG, "time": 0.3})
        assert 0.2 < time.monotonic() - began < 10.0
        assert (refused.status, refused.body["error"]["code"]) == (408, "own_time_passed")
        assert len(worker(server).queue) == 0  # it keeps nobody out
    assert server.post(PATH, {"inputs": "a film"}).status == 200


def test_the_servers_own_limit_counts_where_it_is_shorter(bundles: Callable[..., Path]):
    with running({"chat": bundles("conversations", **WRITES)}, **{"max-time": 0.3}) as made, slow(worker(made), 0.05):
        (answer,) = made.post(PATH, {**LONG, "time": 100}).body["answers"]
        assert answer["finish_reason"] == "length"
        assert answer["tokens"] < 64


def test_who_goes_away_frees_the_row_within_a_step(server: Served):
    with slow(worker(server), 0.1):
        with connected(server, PATH, LONG):
            until(lambda: worker(server).load.running == 1)
        left = time.monotonic()
        until(lambda: worker(server).load.running == 0)
        assert time.monotonic() - left < 4.0  # 64 steps would take six seconds
    assert worker(server).between(lambda built: built.scheduler.free_rows) == 2
    until(lambda: server.serving.gate.inside == 0)


def test_who_goes_away_from_a_stream_frees_the_row_within_a_step(lettered: Served):
    with slow(worker(lettered), 0.1):
        with connected(lettered, letters.PATH, LONG) as connection:
            until(lambda: b"letters" in connection.recv(4096))
            assert worker(lettered).load.running == 1
        left = time.monotonic()
        until(lambda: worker(lettered).load.running == 0)
        assert time.monotonic() - left < 4.0
    until(lambda: lettered.serving.gate.inside == 0)


def test_a_stream_that_is_cut_by_its_time_has_all_its_letters(lettered: Served):
    with slow(worker(lettered), 0.05):
        *pieces, last = lettered.events(letters.PATH, {**LONG, "time": 0.5})
    assert last["reason"] == "length"
    assert 0 < last["tokens"] < 64
    assert "".join(piece["letters"] for piece in pieces) == last["text"]


def test_a_stream_that_waits_as_long_as_it_may_take_is_refused_before_it_begins(lettered: Served):
    with held(worker(lettered)):
        refused = lettered.post(letters.PATH, {**LONG, "time": 0.2})
    assert (refused.status, refused.body["error"]["code"]) == (408, "own_time_passed")


def test_who_goes_away_while_waiting_is_forgotten(server: Served):
    with held(worker(server)):
        with connected(server, PATH, LONG):
            until(lambda: len(worker(server).queue) == 1)
        until(lambda: len(worker(server).queue) == 0)
        until(lambda: server.serving.gate.inside == 0)
