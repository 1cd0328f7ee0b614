"""The thread that writes a log while a server answers. Nobody waits for it: what it cannot take in time is counted and lost."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tunesmith.errors import SourceError
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Prediction
from tunesmith.kept.store import Log

_LOG = logging.getLogger("tunesmith.kept")
_MOST_WAITING = 10_000
_AT_ONCE = 500
_IDLE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_TELL_EVERY_S = 60.0
_FORGET_EVERY_S = 3_600.0
_DAY_S = 86_400.0

Rows = tuple[list[Prediction], dict[str, Origin]]


@dataclass
class Counts:
    """What became of what was put: rows written, and things lost that were to become rows."""

    written: int = 0
    lost: int = 0


@dataclass
class _Batch:
    """What is to be written next, and who waits until it is."""

    rows: list[Prediction] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    waiting: list[threading.Event] = field(default_factory=list)


class Recorder:
    """Writes what is put to it, in batches.

    Args:
        log: where to.
        rows_of: makes rows of a thing that was put, in the thread.
        days: how long rows are kept; None: for ever.
        most_waiting: things that may wait to be written.
    """

    def __init__(
        self, log: Log, rows_of: Callable[[Any], Rows], *, days: float | None = None, most_waiting: int = _MOST_WAITING
    ) -> None:
        self.log, self._rows_of, self._days = log, rows_of, days
        self.counts = Counts()
        self._told_lost, self._told_at, self._forgot_at = 0, 0.0, 0.0
        self._waiting: queue.Queue[Any] = queue.Queue(most_waiting)
        self._closing = threading.Event()
        self._opened = False
        self._thread = threading.Thread(target=self._live, name="tunesmith prediction log", daemon=True)
        self._thread.start()

    def put(self, thing: Any) -> None:
        """Have a thing written; never waits."""
        try:
            self._waiting.put_nowait(thing)
        except queue.Full:
            self.counts.lost += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put before is written; whether it is."""
        done = threading.Event()
        try:
            self._waiting.put(done, timeout=timeout_s)
        except queue.Full:
            return False
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, as far as the time allows, and end."""
        self._closing.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.counts.lost += self._waiting.qsize()
        self._tell(at_once=True)

    def _live(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            try:
                batch = self._next()
                self._write(batch)
                self._forget()
                for waiting in batch.waiting:
                    waiting.set()
            except Exception:
                _LOG.exception("the prediction log failed")
                self.counts.lost += 1
            self._tell()
        self.log.close()

    def _next(self) -> _Batch:
        """What waits, up to a batch; waits a little for the first."""
        batch = _Batch()
        try:
            one = self._waiting.get(timeout=_IDLE_S)
            while True:
                self._take(batch, one)
                if len(batch.rows) >= _AT_ONCE:
                    break
                one = self._waiting.get_nowait()
        except queue.Empty:
            pass
        return batch

    def _take(self, batch: _Batch, thing: Any) -> None:
        if isinstance(thing, threading.Event):
            batch.waiting.append(thing)
            return
        try:
            rows, origins = self._rows_of(thing)
        except Exception:
            _LOG.exception("an answer cannot be kept")
            self.counts.lost += 1
            return
        batch.rows += rows
        batch.origins |= origins

    def _write(self, batch: _Batch) -> None:
        """Write a batch, again and again until the database takes it; once the server stops, only once."""
        pause_s = 0.1
        while batch.rows:
            try:
                self._open()
                self.log.add(batch.rows, batch.origins)
                self.counts.written += len(batch.rows)
                return
            except SourceError as error:
                self._tell(str(error))
                if self._closing.is_set():
                    self.counts.lost += len(batch.rows)
                    return
                self._closing.wait(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            except Exception as error:
                _LOG.error("a row cannot be kept: %s", error)
                return self._write_each(batch)

    def _write_each(self, batch: _Batch) -> None:
        """Write what can be written of a batch in which something cannot."""
        for row in batch.rows:
            try:
                self.log.add([row], batch.origins)
                self.counts.written += 1
            except Exception:
                self.counts.lost += 1

    def _open(self) -> None:
        if not self._opened:
            self.log.open()
            self._opened = True

    def _forget(self) -> None:
        """Now and then, delete what is too old."""
        is_due = not self._forgot_at or time.monotonic() - self._forgot_at >= _FORGET_EVERY_S
        if self._days is None or not is_due:
            return
        try:
            self._open()
            gone = self.log.forget(time.time() - self._days * _DAY_S)
            self._forgot_at = time.monotonic()
            if gone:
                _LOG.info("%s predictions older than %g days were deleted", gone, self._days)
        except SourceError as error:
            self._forgot_at = time.monotonic()
            self._tell(str(error))

    def _tell(self, why: str = "", *, at_once: bool = False) -> None:
        """Log what was lost, and what goes wrong, now and then."""
        now, new = time.monotonic(), self.counts.lost - self._told_lost
        if (new or why) and (at_once or now - self._told_at >= _TELL_EVERY_S or not self._told_at):
            _LOG.warning("prediction log: %s lost since the last message%s", new, f"; {why}" if why else "")
            self._told_at, self._told_lost = now, self.counts.lost
