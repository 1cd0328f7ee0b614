"""Models as they are opened and closed, without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith import params
from tunesmith.errors import TunesmithError, UsageError
from tunesmith.serving.asked import Asked
from tunesmith.serving.models import Models, Served
from tunesmith.serving.options import Options
from tunesmith.serving.refusal import Refusal


@pytest.fixture
def models() -> Iterator[Models]:
    made = Models(params.check(Options, {}))
    yield made
    made.close()


@pytest.fixture
def reviews(models: Models, bundles: Callable[..., Path]) -> Served:
    return models.load("reviews", bundles("binary"))


def put(served: Served, rows: Any, request: Any, tell: Callable[[Any], None]) -> None:
    served.worker.put(Asked(served.inside, request, tell, rows=rows))


def test_what_is_put_to_a_closed_worker_is_refused_and_never_waits(models: Models, reviews: Served) -> None:
    rows, request = reviews.model.rows(["a film"]), reviews.model.request()
    models.close_one(models.unload("reviews"))
    with pytest.raises(Refusal, match="taken away") as refused:
        put(reviews, rows, request, lambda _: None)
    assert (refused.value.http_status, refused.value.retry_after_s) == (503, 1.0)
    with pytest.raises(Refusal, match="taken away"):
        reviews.worker.between(lambda _: None)
    with pytest.raises(Refusal, match="taken away"):
        reviews.model.request()


def test_many_threads_ask_while_it_is_closed_and_each_hears_something(models: Models, reviews: Served) -> None:
    rows, request = reviews.model.rows(["a film"]), reviews.model.request()
    heard: list[Any] = []
    asked = 0
    lock = threading.Lock()

    def go_on() -> None:
        nonlocal asked
        while True:
            with lock:
                asked += 1
            try:
                put(reviews, rows, request, heard.append)
            except Refusal as error:
                heard.append(error)
                if error.code == "server_stopping":
                    return

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    models.close_one(models.unload("reviews"))
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert len(heard) == asked


def test_an_errand_that_fails_is_told_and_the_worker_lives_on(reviews: Served) -> None:
    def wrong(_: Any) -> None:
        raise UsageError("no")

    def broken(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(UsageError, match="no"):
        reviews.worker.between(wrong)
    assert reviews.worker.deaths == 0
    with pytest.raises(ZeroDivisionError):
        reviews.worker.between(broken)
    assert reviews.worker.between(lambda built: len(built)) == 1
    assert reviews.worker.deaths == 1


def test_an_old_version_stays_until_it_is_closed(models: Models, reviews: Served, bundles: Callable[..., Path]) -> None:
    new = models.open("reviews", bundles("binary", **{"train.seed": 7}))
    assert models.find("reviews") is reviews
    models.put(new)
    assert models.find("reviews") is new
    assert new.version > reviews.version
    assert reviews.worker.ready
    assert new.worker is not reviews.worker
    models.close_one(reviews)
    assert not reviews.ready
    assert models.ready


def test_a_name_is_given_once(models: Models, reviews: Served) -> None:
    with pytest.raises(UsageError, match="'reviews' already"):
        models.load("reviews", reviews.folder)
    assert models.find(None) is reviews
    with pytest.raises(TunesmithError, match="did you mean 'reviews'"):
        models.find("review")


def test_each_may_have_an_engine_of_its_own(models: Models, bundles: Callable[..., Path]) -> None:
    chat = bundles("conversations", **{"train.epochs": 1, "model.max_length": 128, "task.report_rows": 1})
    plain, small = models.load("chat", chat), models.load("small", chat, "int8")
    assert (plain.engine, small.engine) == ("pytorch", "int8")
    assert plain.fingerprint != small.fingerprint
    assert plain.worker is not small.worker
