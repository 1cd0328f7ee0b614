"""Moments between tokens: counted by how long they were, text by text, cheaply."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.gaps import BOUNDS_S, Gaps


def asked() -> Asked:
    request: Any = None
    return Asked("m", request, lambda _: None, prompts=("a",))


def test_each_gap_is_counted_in_its_bucket_the_bound_included() -> None:
    gaps = Gaps()
    for gap_s in (0.0, 0.001, 0.0011, 80.0, 81.0):
        gaps.add(gap_s)
    told = dict(gaps.up_to())
    assert (told["0.001"], told["0.0025"], told["40.0"], told["80.0"], told["+Inf"]) == (2, 3, 3, 4, 5)
    assert gaps.mean_s == pytest.approx((0.0021 + 161) / 5)
    assert Gaps().mean_s is None


def test_what_others_counted_is_added() -> None:
    one, other = Gaps(), Gaps()
    one.add(0.5)
    other.add(0.5)
    other.add(2.0)
    one.merge(other)
    assert sum(one.counts) == 3
    assert one.sum_s == 3.0
    assert len(one.counts) == len(BOUNDS_S) + 1


def test_a_gap_lies_between_two_tokens_of_one_text() -> None:
    one = asked()
    for text in ("first", "second", "first", "second", "first"):
        one.mark(text)
        time.sleep(0.01)
    assert sum(one.times.gaps.counts) == 3
    assert one.times.gaps.sum_s > 3 * 0.018
    time.sleep(0.01)
    one.end(Answered([]))
    assert sum(one.times.gaps.counts) == 3, "the end is no token"
    assert one.times.ended is not None
    assert one.times.last is not None
    assert one.times.ended > one.times.last


def test_what_is_answered_whole_has_no_gaps() -> None:
    one = asked()
    one.end(Answered([], tokens=20))
    assert one.times.gaps.mean_s is None
    assert one.times.first == one.times.ended


def test_a_token_costs_the_writing_thread_next_to_nothing() -> None:
    one, count = asked(), 20_000
    began = time.thread_time()
    for _ in range(count):
        one.mark("text")
    assert (time.thread_time() - began) / count < 20e-6  # about 0.5 on an idle machine
