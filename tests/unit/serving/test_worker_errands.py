"""A thread that answers: errands between its steps, requests that wait too long, and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holding import held, until
from tunesmith import predict
from tunesmith.errors import BundleError, UsageError
from tunesmith.predict import Model
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.readers import Reader
from tunesmith.serving.refusal import Refusal

FULL = 1000
"""Tokens of a batch."""


@pytest.fixture(scope="module")
def opened(bundles: Callable[..., Path]) -> Model:
    return predict.load(bundles("binary"))


@pytest.fixture
def worker(opened: Model) -> Iterator[Reader]:
    made = Reader("m", lambda: {"m": opened}, 256, batch_tokens=FULL, wait_s=0.0)
    made.start()
    yield made
    made.close()


def put(worker: Reader, opened: Model, **more: Any) -> list[Any]:
    told: list[Any] = []
    worker.put(Asked("m", opened.request(), told.append, rows=opened.rows(["a fine film"]), **more))
    return told


def test_what_cannot_be_loaded_is_told_where_it_was_started(tmp_path: Path) -> None:
    worker = Reader("m", lambda: {"m": predict.load(tmp_path)}, 256, batch_tokens=FULL, wait_s=0.0)
    with pytest.raises(BundleError):
        worker.start()
    assert not worker.ready


def test_an_errand_is_done_in_its_thread_and_its_outcome_told(worker: Reader) -> None:
    assert worker.between(lambda built: (threading.current_thread().name, list(built))) == ("tunesmith m", ["m"])

    def fails(_: Any) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError):
        worker.between(fails)
    assert worker.ready
    assert worker.deaths == 0


def test_it_tells_how_busy_it_is(worker: Reader, opened: Model) -> None:
    assert worker.idle
    with held(worker):
        told = [put(worker, opened) for _ in range(3)]
        assert worker.load.waiting == 3
        assert not worker.idle
    until(lambda: all(told) and worker.idle)
    assert all(isinstance(one[0], Answered) for one in told)


def test_what_waits_longer_than_it_may_is_told_so(worker: Reader, opened: Model) -> None:
    with held(worker):
        first = put(worker, opened, size=FULL)
        late = put(worker, opened, ends_at=time.monotonic() - 1)
    until(lambda: first and late)
    assert isinstance(first[0], Answered)
    assert isinstance(late[0], Refusal)
    assert (late[0].code, late[0].http_status) == ("timed_out", 503)


def test_what_waits_at_its_end_is_refused(worker: Reader, opened: Model) -> None:
    with held(worker):
        told = [put(worker, opened, size=FULL) for _ in range(3)]
        ends = threading.Thread(target=worker.close)
        ends.start()
        until(lambda: worker._closing.is_set())
    ends.join()
    assert [isinstance(one[0], Answered) for one in told] == [True, False, False], "a batch that is begun is ended"
    assert {(one[0].code, one[0].http_status) for one in told[1:]} == {("server_stopping", 503)}
    assert not worker.ready
