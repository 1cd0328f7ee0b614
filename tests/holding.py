"""Workers that are held up or slowed down, so that tests know what waits and what is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tunesmith.serving.worker import Worker


@contextmanager
def held(worker: Worker) -> Iterator[None]:
    """A worker that takes nothing while it lasts."""
    here, go = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        here.set()
        go.wait(60)

    thread = threading.Thread(target=worker.between, args=[wait])
    thread.start()
    assert here.wait(30)
    try:
        yield
    finally:
        go.set()
        thread.join()


@contextmanager
def slow(worker: Worker, step_s: float) -> Iterator[None]:
    """A worker that writes, each of whose steps takes so long."""

    def begin(built: Any) -> None:
        plain = built.scheduler.step

        def step() -> Any:
            time.sleep(step_s)
            return plain()

        built.scheduler.step = step

    def end(built: Any) -> None:
        if "step" in vars(built.scheduler):
            del built.scheduler.step

    worker.between(begin)
    try:
        yield
    finally:
        worker.between(end)


def until(holds: Callable[[], Any], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)
