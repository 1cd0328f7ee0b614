"""Batches across clients: as much as fits, each its own answer, and one that cannot be answered harms no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holding import held, until
from tunesmith import predict
from tunesmith.errors import TunesmithError
from tunesmith.predict import Model
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.readers import Reader

TEXTS = ["a fine film", "a dull plot", "it was very bad", "they loved it", "one more day"]


@pytest.fixture(scope="module")
def opened(bundles: Callable[..., Path]) -> Model:
    return predict.load(bundles("binary"))


class Watched:
    """A worker over a model, with the number of rows of each of its batches, and the keys (or names) in the order of their answers."""

    def __init__(self, model: Model, batch_tokens: int, wait_s: float) -> None:
        self.model, self.batches, self.order = model, list[int](), list[str]()
        self.worker = Reader("m", self._build, 256, batch_tokens=batch_tokens, wait_s=wait_s)

    def _build(self) -> dict[str, Any]:
        return {"m": self}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def read(self, rows: Any, request: Any, folder: Path) -> Any:
        self.batches.append(len(rows))
        return self.model.read(rows, request, folder)

    def ask(self, *texts: str, size: int = 1, key: str = "", name: str = "", **request: Any) -> list[Any]:
        """Put a request; the list gets its outcome."""
        outcomes: list[Any] = []

        def told(outcome: Any) -> None:
            self.order.append(name or key)
            outcomes.append(outcome)

        asked = self.model.request(**request)
        self.worker.put(Asked("m", asked, told, rows=self.model.rows(list(texts)), size=size, key=key))
        return outcomes


@contextmanager
def watched(opened: Model, batch_tokens: int = 1000, wait_s: float = 0.0) -> Iterator[Watched]:
    made = Watched(opened, batch_tokens, wait_s)
    made.worker.start()
    try:
        yield made
    finally:
        made.worker.close()


def answers(outcomes: list[Any]) -> list[dict[str, Any]]:
    until(lambda: outcomes)
    assert isinstance(outcomes[0], Answered), outcomes
    return outcomes[0].answers


def test_what_waits_is_read_at_once_and_each_has_its_own_answers(opened: Model) -> None:
    with watched(opened) as own:
        with held(own.worker):
            asked = [own.ask(*TEXTS[:2]), own.ask(TEXTS[2]), own.ask(*TEXTS[3:])]
        found = [answers(one) for one in asked]
    assert own.batches == [5]
    alone = opened.answers(TEXTS)
    assert [one["label"] for each in found for one in each] == [one["label"] for one in alone]
    assert [len(one) for one in found] == [2, 1, 2]
    scores = [one["score"] for each in found for one in each]
    assert scores == pytest.approx([one["score"] for one in alone], abs=1e-5)


def test_a_batch_holds_so_many_tokens_and_at_least_one_request(opened: Model) -> None:
    with watched(opened, batch_tokens=10) as own:
        with held(own.worker):
            asked = [own.ask(TEXTS[0], size=size) for size in (4, 4, 4, 50, 3, 3)]
        for one in asked:
            answers(one)
    assert own.batches == [2, 1, 1, 2]


def test_what_is_asked_in_another_way_is_read_apart(opened: Model) -> None:
    with watched(opened) as own:
        with held(own.worker):
            plain, both, again = own.ask(TEXTS[0]), own.ask(TEXTS[1], top_k=2), own.ask(TEXTS[2])
        assert len(answers(both)[0]["top"]) == 2
        assert "top" not in answers(plain)[0]
        answers(again)
    assert sorted(own.batches) == [1, 2]


def test_the_first_waits_for_others_as_long_as_it_may(opened: Model) -> None:
    with watched(opened, batch_tokens=2, wait_s=20.0) as own:
        began = time.monotonic()
        first = own.ask(TEXTS[0])
        time.sleep(0.1)
        second = own.ask(TEXTS[1])
        answers(first)
        answers(second)
        assert time.monotonic() - began < 15, "a batch that is full waits for nobody"
    assert own.batches == [2]


def test_one_that_cannot_be_answered_fails_alone(opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = opened.read

    def read(rows: Any, request: Any, folder: Path) -> Any:
        if "dull" in str(rows.to_pylist()):
            raise TunesmithError("too dull")
        return plain(rows, request, folder)

    monkeypatch.setattr(opened, "read", read)
    with watched(opened) as own:
        with held(own.worker):
            asked = [own.ask(text) for text in TEXTS]
        found = [one for one in asked if until(lambda one=one: one) is None]
        assert [isinstance(one[0], Answered) for one in found] == [True, False, True, True, True]
        assert "too dull" in str(asked[1][0])
        assert own.worker.deaths == 0


def test_what_is_cancelled_while_it_waits_is_not_read(opened: Model) -> None:
    with watched(opened) as own:
        with held(own.worker):
            kept = own.ask(TEXTS[0])
            gone: list[Any] = []
            left = Asked("m", opened.request(), gone.append, rows=opened.rows(TEXTS[1:2]))
            own.worker.put(left)
            own.worker.cancel(left)
        answers(kept)
        until(lambda: own.worker.idle)
    assert own.batches == [1]
    assert gone == []


def test_the_long_queue_of_one_key_delays_another_by_no_more_than_a_batch(opened: Model) -> None:
    with watched(opened, batch_tokens=8) as own:
        with held(own.worker):
            busy = [own.ask(TEXTS[0], key="busy") for _ in range(200)]
            quiet = own.ask(TEXTS[1], key="quiet")
        answers(quiet)
        until(lambda: all(busy))
    assert own.batches == [8] * 25 + [1]
    assert own.order.index("quiet") < 8


def test_a_short_request_does_not_wait_for_the_whole_of_a_long_one(opened: Model) -> None:
    with watched(opened, batch_tokens=16384) as own:
        with held(own.worker):
            long = own.ask(*TEXTS * 40, size=4000, key="long")
            short = own.ask(TEXTS[1], key="short")
        answers(short)
        found = answers(long)
    assert own.order == ["short", "long"]
    assert max(own.batches) <= 1024 * 200 / 4000 + 1
    assert sum(own.batches) == 201
    assert [one["label"] for one in found] == [one["label"] for one in opened.answers(TEXTS)] * 40


def test_a_long_request_ends_however_many_short_ones_come(opened: Model) -> None:
    with watched(opened, batch_tokens=2000) as own:
        with held(own.worker):
            long = own.ask(*TEXTS * 8, size=2000)
            short = [own.ask(TEXTS[1], size=200) for _ in range(60)]
        answers(long)
        assert not all(short)
        until(lambda: all(short))


def test_whoever_goes_in_the_middle_is_read_no_further(opened: Model) -> None:
    with watched(opened, batch_tokens=100) as own:
        gone: list[Any] = []
        long = Asked("m", opened.request(), gone.append, rows=opened.rows(TEXTS * 100), size=100 * 500)
        plain = own.read
        own.read = lambda *given: (setattr(long, "cancelled", True), plain(*given))[1]  # type: ignore[method-assign]
        own.worker.put(long)
        until(lambda: own.batches and own.worker.idle)
        answers(own.ask(TEXTS[0]))
    assert own.batches == [1, 1]
    assert gone == []


def test_a_short_request_finds_a_place_beside_a_batch_that_is_full_of_long_ones(opened: Model) -> None:
    with watched(opened, batch_tokens=4000) as own:
        with held(own.worker):
            long = [own.ask(*TEXTS * 10, size=4000, name="long") for _ in range(3)]
            short = [own.ask(TEXTS[1], name="short") for _ in range(5)]
        found = [answers(one) for one in [*short, *long]]
    assert own.order == ["short"] * 5 + ["long"] * 3
    assert [len(one) for one in found] == [1] * 5 + [50] * 3
