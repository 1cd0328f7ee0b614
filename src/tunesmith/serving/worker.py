"""A thread that answers what is put to it. Where it dies, it is made anew with a model loaded anew, and goes on.

What it had begun and told nothing of is tried once more, each by itself, so that one that kills its worker harms no other
twice; what had told something ends with an error.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tunesmith import machine
from tunesmith.errors import TunesmithError
from tunesmith.serving import refusal
from tunesmith.serving.asked import Asked
from tunesmith.serving.queueing import Queue, taken_away

_LOG = logging.getLogger("tunesmith.serving")
_TRIES = 2
_LONGEST_PAUSE_S = 30.0
_WELL_AFTER_S = 60.0
_IDLE_WAIT_S = 0.5
_TIDY_EVERY_S, _REST_S = 30.0, 5.0


@dataclass(frozen=True)
class Load:
    """How busy a worker is: inputs that wait and that are answered, and how much of its cache holds something (0 to 1)."""

    waiting: int
    running: int
    cache: float = 0.0


class Worker(ABC):
    """A thread that answers for one or several models.

    Args:
        name: for the log.
        build: loads what it computes with; called in its thread, also again where it died.
        most_waiting: inputs that may wait.

    Attributes:
        built: what it computes with; others may look things up in it, but compute nothing. None: it has ended.
        deaths: how often it was made anew.
    """

    def __init__(self, name: str, build: Callable[[], Any], most_waiting: int) -> None:
        self.name = name
        self._build = build
        self.queue = Queue(most_waiting)
        self._closing = threading.Event()
        self._ready = threading.Event()
        self._errands: deque[tuple[Callable[[Any], Any], Future[Any]]] = deque()
        self._first: BaseException | None = None
        self._loaded = threading.Event()
        self._over = threading.Event()
        self.built: Any = None
        self.deaths = 0
        self._tidied = self._asked = time.monotonic()
        self._used = False
        self._in_a_row = 0
        self._thread = threading.Thread(target=self._live, name=f"tunesmith {name}", daemon=True)

    def start(self) -> None:
        """Load, and begin to answer.

        Raises:
            TunesmithError: what is to be loaded cannot be.
        """
        self._thread.start()
        self._loaded.wait()
        if self._first is not None:
            raise self._first

    @property
    def ready(self) -> bool:
        """Whether it answers now."""
        return self._ready.is_set()

    @property
    @abstractmethod
    def load(self) -> Load:
        """How busy it is; any thread may ask."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is answered."""
        load = self.load
        return not (load.waiting or load.running)

    def put(self, asked: Asked) -> None:
        """Queue something.

        Raises:
            Refusal: too much waits.
        """
        self.queue.put(asked)
        self._asked, self._used = time.monotonic(), True

    def cancel(self, asked: Asked) -> None:
        """Nobody waits for it any more; its place is free at the next step."""
        asked.cancelled = True
        self.queue.drop(asked)
        self.queue.wake()

    def between(self, do: Callable[[Any], Any]) -> Any:
        """Do something with what the worker computes with, in its thread and between two steps; return what it gives.

        Raises:
            TunesmithError: as ``do`` does, or the worker has ended.
        """
        done: Future[Any] = Future()
        self._errands.append((do, done))
        self.queue.wake()
        if self._over.is_set():
            self._refuse_errands()
        return done.result()

    def leave(self, name: str) -> None:
        """Answer no more for a model; what it was asked and is not answered is refused."""
        self.close()

    def close(self, timeout_s: float = 3.0) -> None:
        """End the thread; what is not answered is refused, even if the thread cannot be waited for any longer."""
        self._closing.set()
        self.queue.wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            for left in [*self.begun(), *self.queue.close()]:
                left.end(taken_away())

    @abstractmethod
    def work(self, built: Any) -> None:
        """One round: take what waits, go on with what is begun."""

    @abstractmethod
    def begun(self) -> list[Asked]:
        """What is begun and not ended; it is forgotten here."""

    def _live(self) -> None:
        while not self._closing.is_set():
            since = time.monotonic()
            try:
                self.built = built = self._build()
                self._loaded.set()
                since = time.monotonic()
                self._ready.set()
                while not self._closing.is_set():
                    self._run_errands(built)
                    for late in self.queue.late():
                        late.end(refusal.late(own_time=late.own_time))
                    self.work(built)
                    self._tidy(built)
            except BaseException as error:
                self._ready.clear()
                if not self._loaded.is_set():
                    self._first = error
                    self._loaded.set()
                    return
                self._in_a_row = 1 if time.monotonic() - since > _WELL_AFTER_S else self._in_a_row + 1
                self._died(error)
        self._ready.clear()
        self.built = None
        self._over.set()
        self._refuse_errands()
        for left in [*self.begun(), *self.queue.close()]:
            left.end(taken_away())

    def rest(self, built: Any) -> None:  # noqa: B027
        """Nobody has asked for some time; what is held only for the next step may go."""

    def _tidy(self, built: Any) -> None:
        """Give back what was freed: threads that compute with changing lengths keep ever more of it.

        It holds up who allocates meanwhile, for up to a tenth of a second: so seldom, and once when nobody asks any more.
        """
        now = time.monotonic()
        rests = not self.load.running and now > self._asked + _REST_S
        if self._used and (rests or now > self._tidied + _TIDY_EVERY_S):
            self._tidied, self._used = now, not rests
            if rests:
                self.rest(built)
            machine.trim()

    def _refuse_errands(self) -> None:
        while self._errands:
            with suppress(IndexError):  # two threads may come here at once
                self._errands.popleft()[1].set_exception(taken_away())

    def _run_errands(self, built: Any) -> None:
        while self._errands:
            do, done = self._errands.popleft()
            try:
                done.set_result(do(built))
            except BaseException as error:
                done.set_exception(error)
                if not isinstance(error, TunesmithError):
                    raise

    def _died(self, error: BaseException) -> None:
        """Say so, and see to what was begun."""
        self.deaths += 1
        _LOG.error("worker %s died and is made anew: %s", self.name, error, exc_info=error)
        for asked in self.begun():
            asked.tries += 1
            if not asked.told and asked.tries < _TRIES and not asked.cancelled:
                asked.times.started = asked.times.first = asked.times.last = None
                self.queue.put(asked, again=True)
            else:
                asked.end(refusal.failed("the engine failed while it answered"))
        self._closing.wait(min(_LONGEST_PAUSE_S, 0.1 * 2 ** min(self._in_a_row - 1, 10)))

    def pause(self) -> None:
        """Wait for something to do."""
        self.queue.wait(_IDLE_WAIT_S)


def guarded(asked: Asked, answer: Callable[[], Any]) -> Any:
    """What a function gives; a mistake in the request ends the request alone, and None is given."""
    try:
        return answer()
    except TunesmithError as error:
        asked.end(error)
    return None


def is_over(asked: Asked) -> bool:
    """Whether nobody waits for it, or its time has passed."""
    return asked.cancelled or asked.ends_at <= time.monotonic()
