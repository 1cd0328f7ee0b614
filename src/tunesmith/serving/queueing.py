"""What waits for a worker: by priority, and between the keys of one priority in turns.

Start-time fair queueing (Goyal, Vin and Cheng 1996): each request gets a virtual start, the later of the present virtual
time and the virtual end of what its key asked before; the earliest start is next. A key that asks a lot waits behind its
own requests, not others behind it.

Whoever finds the queue full is told when to come again: when as much has been taken, at the rate of the last seconds, as has
to go before there is room for it and for those that were told to come again before.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable

from tunesmith.serving import refusal
from tunesmith.serving.asked import Asked

_Entry = tuple[int, float, int, Asked]
"""Its priority, virtual start, number, and what was asked."""

_SOME_TAKES = 64
_LONGEST_S = 60.0
_AT_FIRST_S = 1.0


class _Rate:
    """How fast inputs are taken."""

    def __init__(self) -> None:
        self._takes: deque[tuple[float, int]] = deque(maxlen=_SOME_TAKES)
        self._told_until = 0.0

    def took(self, inputs: int) -> None:
        self._takes.append((time.monotonic(), inputs))

    def seconds_for(self, inputs: int) -> float | None:
        """How long so many take; None: nothing was taken in the last minute."""
        now = time.monotonic()
        recent = [(at, count) for at, count in self._takes if now - at <= _LONGEST_S]
        if not recent:
            return None
        return inputs * (now - recent[0][0]) / sum(count for _, count in recent)

    def promised(self, excess: int, inputs: int) -> float:
        """When somebody with so many inputs should come again: after the excess is gone, and after those told before."""
        wait, own = self.seconds_for(excess), self.seconds_for(inputs)
        if wait is None or own is None:
            return _AT_FIRST_S
        now = time.monotonic()
        self._told_until = min(max(now, self._told_until) + own, now + _LONGEST_S)
        return min(max(wait, self._told_until - now, 0.05), _LONGEST_S)


class Queue:
    """Requests that wait; any thread may put, one takes.

    Args:
        most: inputs that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[_Entry] = []
        self._ends: dict[str, float] = {}
        self._now = 0.0
        self._numbers = itertools.count()
        self._changed = threading.Condition()  # it may be entered twice by one thread
        self._inputs = 0
        self._woken = self._closed = False
        self._rate = _Rate()

    def __len__(self) -> int:
        """Inputs that wait."""
        return self._inputs

    def put(self, asked: Asked, *, again: bool = False) -> None:
        """Let something wait; what comes ``again`` is never refused.

        Raises:
            Refusal: too much waits already, or nobody takes any more.
        """
        with self._changed:
            if self._closed:
                raise taken_away()
            excess = self._inputs + asked.inputs - self._most
            if self._inputs and excess > 0 and not again:
                after_s = self._rate.promised(excess, asked.inputs)
                raise refusal.full(f"{self._inputs} inputs wait already, and at most {self._most} may", after_s)
            start = max(self._now, self._ends.get(asked.key, 0.0))
            self._ends[asked.key] = start + asked.size
            heapq.heappush(self._waiting, (asked.priority, start, next(self._numbers), asked))
            self._inputs += asked.inputs
            self._changed.notify()

    def take(self, most: float | None = None, *, small: float = 0.0, beside: bool = False) -> Asked | None:
        """The next one, if it is of no more than a size, or else the first small one; who was cancelled is passed over.

        Args:
            most: the size; None: any.
            small: the size of those that may go past larger ones for which there is no room.
            beside: whether something is begun already. What was begun when a worker died goes by itself the next time.
        """
        with self._changed:
            while self._waiting and self._waiting[0][3].cancelled:
                self._take_out(self._waiting[0])
            if not self._waiting or (beside and self._waiting[0][3].tries):
                return None
            chosen: _Entry | None = self._waiting[0]
            if most is not None and self._waiting[0][3].size > most:
                fitting = (one for one in self._waiting if one[3].size <= small and not one[3].tries)
                chosen = min((one for one in fitting if not one[3].cancelled), default=None)
            if chosen is None:
                return None
            self._take_out(chosen)
            self._rate.took(chosen[3].inputs)
            return chosen[3]

    def _take_out(self, entry: _Entry) -> None:
        if entry is self._waiting[0]:
            heapq.heappop(self._waiting)
        else:
            self._waiting.remove(entry)
            heapq.heapify(self._waiting)
        self._inputs -= entry[3].inputs
        self._now = max(self._now, entry[1])
        if not self._waiting:
            self._ends.clear()

    def drop(self, asked: Asked) -> None:
        """Take one out that nobody waits for, so that it keeps nobody out."""
        self._remove(lambda one: one is asked)

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something, somebody wakes it, or the time is over."""
        with self._changed:
            if not self._waiting and not self._woken:
                self._changed.wait(timeout_s)
            self._woken = False

    def wake(self) -> None:
        """End a ``wait``."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def late(self) -> list[Asked]:
        """Take out what waited past its time."""
        return self._remove(lambda asked: asked.ends_at <= time.monotonic())

    def empty(self) -> list[Asked]:
        """Take out everything."""
        return self._remove(lambda _: True)

    def close(self) -> list[Asked]:
        """Take out everything, and let nothing in any more."""
        with self._changed:
            self._closed = True
            return self.empty()

    def _remove(self, which: Callable[[Asked], bool]) -> list[Asked]:
        with self._changed:
            gone = [entry for entry in self._waiting if which(entry[3])]
            if gone:
                self._waiting = [entry for entry in self._waiting if not which(entry[3])]
                heapq.heapify(self._waiting)
                self._inputs -= sum(entry[3].inputs for entry in gone)
            return [entry[3] for entry in gone]


def taken_away() -> refusal.Refusal:
    """What is told of requests whose model goes."""
    return refusal.full("the model is being taken away", 1.0, "server_stopping")
