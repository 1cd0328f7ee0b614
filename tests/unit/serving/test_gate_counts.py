"""What may come in: a minute's requests of a key, how many it has at once, and nothing once the server stops."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tunesmith import params
from tunesmith.serving import gate
from tunesmith.serving.gate import Gate
from tunesmith.serving.options import Options
from tunesmith.serving.refusal import Refusal


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(gate, "time", made)
    return made


def made(**options: Any) -> Gate:
    return Gate(params.check(Options, options))


def passes(one: Gate, key: str = "a") -> Refusal | None:
    try:
        with one.enter(key):
            return None
    except Refusal as refused:
        return refused


def test_without_limits_everybody_comes_in_and_is_counted(clock: Clock) -> None:
    one = made()
    with ExitStack() as inside:
        for number in range(100):
            inside.enter_context(one.enter("a"))
            assert one.inside == number + 1
    assert one.inside == 0


def test_a_key_that_asks_too_often_is_told_when_to_come_again(clock: Clock) -> None:
    one = made(**{"key-requests-per-minute": 6})
    assert [passes(one) for _ in range(6)] == [None] * 6
    refused = passes(one)
    assert refused is not None
    assert (refused.code, refused.http_status) == ("rate_limit_exceeded", 429)
    assert refused.retry_after_s == pytest.approx(10)
    clock.now += 9.9
    assert passes(one) is not None, "a refusal is no request, but it is too early"
    clock.now += 0.2
    assert passes(one) is None
    assert passes(one) is not None


def test_a_bucket_holds_no_more_than_a_minute(clock: Clock) -> None:
    one = made(**{"key-requests-per-minute": 3})
    assert passes(one) is None
    clock.now += 3600
    assert [passes(one) is None for _ in range(4)] == [True, True, True, False]


def test_keys_have_buckets_of_their_own(clock: Clock) -> None:
    one = made(**{"key-requests-per-minute": 1})
    assert passes(one, "a") is None
    assert passes(one, "a") is not None
    assert passes(one, "b") is None


def test_so_many_at_once(clock: Clock) -> None:
    one = made(**{"key-concurrent": 2})
    with one.enter("a"), one.enter("a"):
        refused = passes(one)
        assert refused is not None
        assert refused.http_status == 429
        assert passes(one, "b") is None
    assert passes(one) is None


def test_whoever_fails_inside_is_outside_again(clock: Clock) -> None:
    one = made(**{"key-concurrent": 1})
    with pytest.raises(ValueError), one.enter("a"):
        raise ValueError
    assert one.inside == 0
    assert passes(one) is None


def test_nobody_comes_in_while_the_server_stops(clock: Clock) -> None:
    one = made()
    with one.enter("a"):
        one.stopping = True
        refused = passes(one)
        assert refused is not None
        assert (refused.code, refused.http_status) == ("server_stopping", 503)
        assert one.inside == 1, "who is inside stays"
