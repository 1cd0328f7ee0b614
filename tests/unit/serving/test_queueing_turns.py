"""Who is next: by priority, then in turns between keys, however much one of them asks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.params import Params
from tunesmith.serving.asked import Asked
from tunesmith.serving.queueing import Queue
from tunesmith.serving.refusal import Refusal

MANY = 10_000


def asked(key: str = "a", size: int = 1, priority: int = 0, inputs: int = 1, **more: Any) -> Asked:
    return Asked("m", Params(), lambda _: None, prompts=("x",) * inputs, key=key, size=size, priority=priority, **more)


def filled(*waiting: Asked, most: int = MANY) -> Queue:
    queue = Queue(most)
    for one in waiting:
        queue.put(one)
    return queue


def taken(queue: Queue) -> list[Asked]:
    found = []
    while (one := queue.take()) is not None:
        found.append(one)
    return found


def test_one_key_is_answered_in_the_order_in_which_it_asked() -> None:
    waiting = [asked(size=size) for size in (5, 1, 3, 1)]
    assert taken(filled(*waiting)) == waiting


def test_a_key_that_asks_a_lot_does_not_delay_the_only_request_of_another() -> None:
    queue = filled(*(asked("busy") for _ in range(200)))
    assert [queue.take() for _ in range(50)]
    single = asked("quiet")
    queue.put(single)
    assert single in (queue.take(), queue.take())


def test_large_requests_count_for_what_they_are() -> None:
    queue = filled(*(asked("large", 100) for _ in range(20)), *(asked("small", 10) for _ in range(200)))
    first = [queue.take() for _ in range(110)]
    counts = Counter(one.key for one in first if one is not None)
    assert counts == {"large": 10, "small": 100}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 50), min_size=10, max_size=60),
    st.lists(st.integers(1, 50), min_size=10, max_size=60),
)
def test_while_two_keys_wait_neither_gets_more_than_a_request_of_each_ahead(
    first: list[int], second: list[int]
) -> None:
    """Theorem 1 of Goyal, Vin and Cheng: the difference is at most the longest request of one and that of the other."""
    queue = filled(*(asked("a", size) for size in first), *(asked("b", size) for size in second))
    left, done = Counter({"a": len(first), "b": len(second)}), Counter[str]()
    while all(left.values()):
        one = queue.take()
        assert one is not None
        done[one.key] += one.size
        left[one.key] -= 1
        assert abs(done["a"] - done["b"]) <= max(first) + max(second)


def test_who_was_silent_has_saved_nothing_up() -> None:
    queue = filled(*(asked("busy") for _ in range(100)))
    for _ in range(60):
        queue.take()
    for _ in range(40):
        queue.put(asked("late"))
    counts = Counter(one.key for one in (queue.take() for _ in range(40)) if one is not None)
    assert abs(counts["late"] - counts["busy"]) <= 2


def test_a_lower_priority_number_comes_first_whoever_asks() -> None:
    usual, urgent, idle = asked("a"), asked("a", priority=-1), asked("b", priority=5)
    assert taken(filled(usual, idle, urgent)) == [urgent, usual, idle]


def test_what_is_cancelled_is_passed_over_and_waits_no_more() -> None:
    first, second = asked(inputs=3), asked()
    queue = filled(first, second)
    assert len(queue) == 4
    first.cancelled = True
    assert queue.take() is second
    assert len(queue) == 0


def test_what_is_too_large_for_the_room_that_is_left_stays() -> None:
    queue = filled(asked(size=10), asked(size=3))
    assert queue.take(9) is None
    assert len(queue) == 2
    assert queue.take(10) is not None
    assert queue.take(9) is not None


def test_more_than_may_wait_is_refused_with_when_to_come_again() -> None:
    queue = filled(asked(), asked(), most=3)
    with pytest.raises(Refusal) as caught:
        queue.put(asked(inputs=2))
    assert (caught.value.code, caught.value.http_status) == ("server_full", 503)
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 0
    queue.put(asked(inputs=2), again=True)
    assert len(queue) == 4


def test_a_request_larger_than_the_limit_is_let_in_where_nothing_waits() -> None:
    queue = filled(asked(inputs=5), most=3)
    assert len(queue) == 5
    with pytest.raises(Refusal):
        queue.put(asked())


def test_what_waited_too_long_is_taken_out_and_the_rest_keeps_its_order() -> None:
    old, waiting = asked(ends_at=time.monotonic() - 1), [asked(size=n) for n in range(1, 6)]
    queue = filled(*waiting[:2], old, *waiting[2:])
    assert queue.late() == [old]
    assert queue.late() == []
    assert taken(queue) == waiting
    assert filled(old, waiting[0]).empty() in ([old, waiting[0]], [waiting[0], old])


@pytest.mark.parametrize("what", ["put", "wake"])
def test_whoever_waits_is_woken(what: str) -> None:
    queue, over = Queue(MANY), threading.Event()

    def wait() -> None:
        queue.wait(30)
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not over.wait(0.05)
    queue.put(asked()) if what == "put" else queue.wake()
    assert over.wait(5)


def test_a_wake_before_the_wait_is_not_lost() -> None:
    queue = Queue(MANY)
    queue.wake()
    began = time.monotonic()
    queue.wait(30)
    assert time.monotonic() - began < 5


def test_small_ones_go_past_a_large_one_that_has_no_room() -> None:
    large, gone, first, second, other = asked(size=90), asked(size=1), asked(size=9), asked(size=2), asked("b", size=50)
    queue = filled(large, gone, first, second, other)
    gone.cancelled = True
    assert queue.take(50, small=8) is second
    assert queue.take(50, small=8) is None
    assert queue.take(50, small=10) is first
    assert (queue.take(50, small=10), len(queue)) == (None, 3)
    assert [queue.take(), queue.take()] == [large, other]
    assert (queue.take(), len(queue)) == (None, 0)


def test_what_killed_a_worker_waits_to_be_alone_and_goes_past_nobody() -> None:
    again, small = asked(size=1, tries=1), asked(size=1)
    queue = filled(asked(size=90, priority=-1), again, small)
    assert queue.take(50, small=10, beside=True) is small
    assert queue.take(50, small=10, beside=True) is None
