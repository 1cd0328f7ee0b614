"""What waits: in turns, no more than fits, and with an honest word on when to come again."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tunesmith.params import Params
from tunesmith.serving import queueing
from tunesmith.serving.asked import Asked
from tunesmith.serving.queueing import Queue
from tunesmith.serving.refusal import Refusal


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(queueing.time, "monotonic", lambda: self.now)


def asked(inputs: int = 1, **more) -> Asked:
    return Asked("m", Params(), lambda _: None, rows=pa.table({"text": ["a"] * inputs}), **more)


def refusal(queue: Queue, inputs: int = 1) -> Refusal:
    with pytest.raises(Refusal) as refused:
        queue.put(asked(inputs))
    return refused.value


def filled(monkeypatch, clock, *, each_s: float, most: int = 4) -> Queue:
    """A full queue of which an input was taken every so often."""
    queue = Queue(most)
    queue.put(asked())
    for _ in range(9):
        queue.take()
        queue.put(asked())
        clock.now += each_s
    while len(queue) < most:
        queue.put(asked())
    return queue


@pytest.mark.parametrize("each_s", [0.2, 2.0])
def test_whoever_is_turned_away_is_told_when_there_will_be_room(monkeypatch, each_s):
    clock = Clock(monkeypatch)
    queue = filled(monkeypatch, clock, each_s=each_s)
    first = refusal(queue)
    assert (first.http_status, first.code) == (503, "server_full")
    assert first.retry_after_s == pytest.approx(each_s, rel=0.05)


def test_those_who_are_turned_away_are_told_to_come_one_after_another(monkeypatch):
    queue = filled(monkeypatch, Clock(monkeypatch), each_s=0.5)
    times = [refusal(queue).retry_after_s for _ in range(4)]
    assert times == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=0.05)
    for _ in range(1000):
        last = refusal(queue).retry_after_s
    assert last == 60


def test_more_inputs_wait_longer(monkeypatch):
    queue = filled(monkeypatch, Clock(monkeypatch), each_s=0.5)
    assert refusal(queue, 3).retry_after_s == pytest.approx(1.5, rel=0.05)


def test_a_queue_that_never_moved_says_a_second(monkeypatch):
    queue = Queue(1)
    queue.put(asked())
    assert refusal(queue).retry_after_s == 1.0


def test_one_that_nobody_waits_for_keeps_nobody_out():
    queue = Queue(2)
    waiting = [asked(), asked()]
    for one in waiting:
        queue.put(one)
    refusal(queue)
    queue.drop(waiting[0])
    assert len(queue) == 1
    queue.put(asked())
    assert queue.take() is waiting[1]


def test_what_a_dead_worker_had_begun_goes_by_itself():
    queue = Queue(9)
    queue.put(asked(tries=1))
    assert queue.take(beside=True) is None
    assert queue.take() is not None


def test_what_waited_past_its_time_is_taken_out(monkeypatch):
    clock = Clock(monkeypatch)
    queue = Queue(9)
    late, other = asked(ends_at=1001.0), asked(ends_at=2000.0)
    queue.put(late)
    queue.put(other)
    clock.now = 1001.5
    assert queue.late() == [late]
    assert len(queue) == 1


def test_keys_take_turns_and_priorities_go_first():
    queue = Queue(99)
    order = [asked(key="a"), asked(key="a"), asked(key="a"), asked(key="b"), asked(key="a", priority=-1)]
    for one in order:
        queue.put(one)
    assert [queue.take() for _ in order] == [order[4], order[0], order[3], order[1], order[2]]
