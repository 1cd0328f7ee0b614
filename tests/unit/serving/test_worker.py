"""Workers that die are made anew; nobody notices whose answer had not begun, and one mistake harms nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import letters
from holding import held, slow, until
from served import Served, running
from tunesmith import machine
from tunesmith.errors import UsageError
from tunesmith.serving import worker as workers
from tunesmith.serving.worker import Worker

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
LONG = {"inputs": "a fine film", "max_tokens": 48, "ignore_eos": True, "seed": 3}


class Killed(BaseException):
    """Something that is no ``Exception``."""


@pytest.fixture
def server(bundles: Callable[..., Path]) -> Iterator[Served]:
    folders = {"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)}
    with letters.route(), running(folders) as made:
        yield made


def worker(server: Served, name: str) -> Worker:
    return server.serving.models.find(name).worker


def asked_at_once(*asks: Callable[[], Any]) -> tuple[list[threading.Thread], list[Any]]:
    found: list[Any] = [None] * len(asks)

    def ask(number: int) -> None:
        found[number] = asks[number]()

    threads = [threading.Thread(target=ask, args=[number]) for number in range(len(asks))]
    for thread in threads:
        thread.start()
    return threads, found


def ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a request was never answered"


def fail_once(place: Any, name: str, error: BaseException, after: int = 0) -> list[int]:
    """Have a method raise once; gives how often it was called."""
    plain, calls = getattr(place, name), []

    def failing(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == after + 1:
            raise error
        return plain(*args, **options)

    setattr(place, name, failing)
    return calls


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), Killed(), SystemExit(3)], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("name", ["reviews", "chat"])
def test_what_had_told_nothing_is_answered_after_all(server: Served, name: str, error: BaseException, caplog):
    path, body = f"/v1/predict/{name}", {"inputs": "a fine film", **({"seed": 3} if name == "chat" else {})}
    right = server.post(path, body).body["answers"]
    if name == "reviews":
        worker(server, name).between(lambda built: fail_once(next(iter(built.values())), "read", error))
    else:
        worker(server, name).between(lambda built: fail_once(built.scheduler, "step", error, 1))
    with caplog.at_level(logging.ERROR, "tunesmith.serving"):
        reply = server.post(path, body)
    assert (reply.status, reply.body["answers"]) == (200, right)
    assert worker(server, name).deaths == 1
    assert any("died and is made anew" in line for line in caplog.messages)
    assert server.get("/ready").status == 200


def test_others_are_not_harmed_and_streams_are_told(server: Served):
    writer = worker(server, "chat")
    right = server.post("/v1/predict/chat", LONG).body["answers"]
    with slow(writer, 0.02):
        threads, found = asked_at_once(
            lambda: server.events(letters.PATH, LONG), lambda: server.post("/v1/predict/chat", LONG)
        )
        until(lambda: writer.load.running == 2)
        time.sleep(0.2)
        writer.between(lambda built: fail_once(built.scheduler, "step", Killed()))
        reviews = server.post("/v1/predict/reviews", {"inputs": "a fine film"})
        ended(threads)
    stream, whole = found
    assert reviews.status == 200
    assert stream[-1]["error"]["code"] == "engine_failed"
    assert len(stream) > 1
    assert (whole.status, whole.body["answers"]) == (200, right)
    until(lambda: server.serving.gate.inside == 0)


def test_it_is_not_ready_while_it_is_made_anew(server: Served):
    reader = worker(server, "reviews")
    build, go = reader._build, threading.Event()

    def slowly() -> Any:
        go.wait(30)
        return build()

    reader._build = slowly
    reader.between(lambda built: fail_once(next(iter(built.values())), "read", Killed()))
    threads, found = asked_at_once(lambda: server.post("/v1/predict/reviews", {"inputs": "a fine film"}))
    until(lambda: server.get("/ready").status == 503)
    assert server.get("/health").status == 200
    assert server.post("/v1/predict/chat", {"inputs": "a film", "max_tokens": 2}).status == 200
    go.set()
    ended(threads)
    assert found[0].status == 200
    assert server.get("/ready").status == 200


@pytest.mark.parametrize("error", [RuntimeError, Killed])
def test_one_that_kills_its_worker_again_and_again_harms_nobody_else(server: Served, error: type[BaseException]):
    reader = worker(server, "reviews")
    build = reader._build

    def poisoned() -> Any:
        built = build()
        plain = next(iter(built.values())).read

        def read(rows: Any, *args: Any) -> Any:
            if "poison" in rows["text"].to_pylist():
                raise error("broken")
            return plain(rows, *args)

        next(iter(built.values())).read = read
        return built

    reader._build = poisoned
    reader.between(lambda built: fail_once(next(iter(built.values())), "read", error("first")))
    server.post("/v1/predict/reviews", {"inputs": "made anew"})
    deaths = reader.deaths
    with held(reader):
        texts = ["a film", "poison", "a plot", "a day"]
        threads, found = asked_at_once(
            *(lambda text=text: server.post("/v1/predict/reviews", {"inputs": text}) for text in texts)
        )
        until(lambda: len(reader.queue) == 4)
    ended(threads)
    assert [reply.status for reply in found] == [200, 500, 200, 200]
    assert found[1].body["error"]["code"] == "engine_failed"
    assert 1 <= reader.deaths - deaths <= 2


def test_one_that_cannot_even_begin_is_answered_with_an_error(server: Served):
    writer = worker(server, "chat")
    build = writer._build

    def poisoned() -> Any:
        built = build()
        plain = built.put

        def put(name: str, rows: Any, *args: Any) -> Any:
            if "poison" in str(rows.to_pylist()):
                raise Killed
            return plain(name, rows, *args)

        built.put = put
        return built

    writer._build = poisoned
    with pytest.raises(Killed):
        writer.between(lambda _: (_ for _ in ()).throw(Killed()))
    with held(writer):
        threads, found = asked_at_once(
            *(
                lambda text=text: server.post("/v1/predict/chat", {**LONG, "inputs": text})
                for text in ("a film", "poison", "a day")
            )
        )
        until(lambda: len(writer.queue) == 3)
    ended(threads)
    assert [reply.status for reply in found] == [200, 500, 200]


def test_an_errand_that_fails_tells_whoever_sent_it(server: Served):
    reader = worker(server, "reviews")

    def wrong(_: Any) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        reader.between(wrong)
    assert reader.deaths == 0
    with pytest.raises(ZeroDivisionError):
        reader.between(lambda _: 1 / 0)
    until(lambda: reader.deaths == 1)
    assert server.post("/v1/predict/reviews", {"inputs": "a fine film"}).status == 200


def test_weights_that_give_no_numbers_harm_no_batch_mate(server: Served):
    writer = worker(server, "chat")
    right = server.post("/v1/predict/chat", LONG).body["answers"]

    def spoil(built: Any) -> None:
        model = built.scheduler._network
        plain = model.feed

        def feed(*args: Any, **options: Any) -> Any:
            logits = plain(*args, **options)
            if len(logits) > 1 and logits.dim() == 2:
                logits[0] = float("nan")
            return logits

        model.feed = feed

    with held(writer):
        threads, found = asked_at_once(*[lambda: server.post("/v1/predict/chat", LONG)] * 2)
        until(lambda: len(writer.queue) == 2)
    ended(threads)
    assert [reply.body["answers"] for reply in found] == [right, right]
    writer.between(spoil)
    with held(writer):
        threads, found = asked_at_once(*[lambda: server.post("/v1/predict/chat", LONG)] * 2)
        until(lambda: len(writer.queue) == 2)
    ended(threads)
    answers = [reply.body["answers"] for reply in found if reply.status == 200]
    assert right in answers
    assert sum(one == right for one in answers) == 1
    assert writer.deaths == 0


def test_a_format_that_cannot_be_kept_harms_no_batch_mate(server: Served):
    writer = worker(server, "chat")
    right = server.post("/v1/predict/chat", LONG).body["answers"]
    wrong = {**LONG, "response_format": {"type": "grammar", "grammar": "start: nothing_of_the_kind"}}
    with held(writer):
        threads, found = asked_at_once(
            lambda: server.post("/v1/predict/chat", wrong), lambda: server.post("/v1/predict/chat", LONG)
        )
        until(lambda: len(writer.queue) >= 1)
    ended(threads)
    assert 400 <= found[0].status < 500
    assert found[1].body["answers"] == right
    assert writer.deaths == 0


def test_a_worker_that_cannot_be_waited_for_leaves_nobody_without_an_answer(server: Served):
    reader = worker(server, "reviews")
    go = threading.Event()

    def hangs(built: Any) -> None:
        plain = next(iter(built.values())).read

        def read(*args: Any) -> Any:
            go.wait(60)
            return plain(*args)

        next(iter(built.values())).read = read

    reader.between(hangs)
    threads, found = asked_at_once(*[lambda: server.post("/v1/predict/reviews", {"inputs": "a film"})] * 3)
    until(lambda: reader.load.running + len(reader.queue) == 3)
    reader.close(0.2)
    ended(threads)
    assert [(reply.status, reply.body["error"]["code"]) for reply in found] == [(503, "server_stopping")] * 3
    go.set()


def test_what_was_freed_is_given_back_once_all_is_answered(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[str] = []
    monkeypatch.setattr(machine, "trim", lambda: given_back.append(threading.current_thread().name))
    monkeypatch.setattr(workers, "_REST_S", 0.2)
    own = worker(server, "reviews")
    assert server.post("/v1/predict/reviews", {"inputs": "a fine film"}).status == 200
    until(lambda: bool(given_back))
    time.sleep(3 * workers._IDLE_WAIT_S)
    count = len(given_back)
    time.sleep(3 * workers._IDLE_WAIT_S)
    assert len(given_back) == count
    assert set(given_back) == {f"tunesmith {own.name}"}
