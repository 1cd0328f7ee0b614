"""Answers that are written: streams that add up, places that are free again, turns between keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holding import held, slow, until
from served import Served, running
from tunesmith.serving.asked import Answered, Asked, Delta
from tunesmith.serving.models import Served as Model

ROWS = 4
WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}


@pytest.fixture(scope="module")
def server(bundles: Callable[..., Path]) -> Iterator[Served]:
    options = {"max-rows": ROWS, "max-waiting": 1000}
    with running({"chat": bundles("conversations", **WRITES)}, **options) as made:
        yield made


@pytest.fixture
def chat(server: Served) -> Model:
    return server.serving.models.find("chat")


def put(chat: Model, text: str, *, stream: bool = False, key: str = "", time_s: float = 60.0, **request: Any) -> Any:
    """Ask; what is told is in the list that is returned."""
    told: list[Any] = []
    ends_at = time.monotonic() + time_s
    asked = Asked(
        "chat",
        chat.model.request(**{"max_tokens": 8, **request}),
        told.append,
        rows=chat.model.rows([text]),
        key=key,
        stream=stream,
        ends_at=ends_at,
    )
    chat.worker.put(asked)
    return asked, told


def over(told: list[Any]) -> bool:
    return bool(told) and not isinstance(told[-1], Delta)


def test_the_letters_of_a_stream_add_up_to_its_answer(chat: Model) -> None:
    asked = {"ignore_eos": True, "temperature": 1.0, "seed": 7}
    streams = [put(chat, f"the {word}", stream=True, **asked)[1] for word in ("film", "bank", "rain", "soup", "day")]
    until(lambda: all(map(over, streams)))
    for word, told in zip(("film", "bank", "rain", "soup", "day"), streams, strict=True):
        assert isinstance(told[-1], Answered)
        text = "".join(one.text for one in told[:-1])
        assert text == told[-1].generated[0][0][0].text.strip()
        alone = chat.worker.between(lambda _, word=word: chat.model.answers([f"the {word}"], max_tokens=8, **asked))
        assert told[-1].answers == alone


def test_whoever_goes_leaves_a_free_place(chat: Model) -> None:
    long = {"max_tokens": 90, "ignore_eos": True}
    with slow(chat.worker, 0.02):
        going = [put(chat, "the film", **long) for _ in range(ROWS)]
        until(lambda: chat.worker.load.running == ROWS)
        waiting = put(chat, "the bank", max_tokens=2)
        for asked, _ in going:
            chat.worker.cancel(asked)
        until(lambda: over(waiting[1]))
        assert not any(over(told) for _, told in going), "nobody hears of what was cancelled"
    until(lambda: chat.worker.idle)
    assert chat.worker.between(lambda built: built.scheduler.free_rows) == ROWS


def test_what_takes_too_long_ends_as_it_stands(chat: Model) -> None:
    with slow(chat.worker, 0.05):
        _, told = put(chat, "the film", time_s=0.5, max_tokens=90, ignore_eos=True)
        until(lambda: over(told))
    assert isinstance(told[-1], Answered)
    assert 0 < told[-1].tokens < 90


def test_a_wrong_request_harms_no_other(chat: Model) -> None:
    with held(chat.worker):
        right = put(chat, "the film")[1]
        wrong = put(chat, "the film " * 200, truncate_prompt="no")[1]
        last = put(chat, "the bank")[1]
    until(lambda: all(map(over, (right, wrong, last))))
    assert isinstance(right[-1], Answered)
    assert isinstance(last[-1], Answered)
    assert not isinstance(wrong[-1], Answered)
    assert chat.worker.deaths == 0


def test_the_long_queue_of_one_key_delays_another_by_no_more_than_a_batch(server: Served, chat: Model) -> None:
    """200 requests of one key wait; another key asks once, over HTTP."""
    answered: list[int] = []
    with slow(chat.worker, 0.005):
        with held(chat.worker):
            for number in range(200):
                asked, _ = put(chat, "the film", key="busy", max_tokens=6, ignore_eos=True)
                asked.tell = lambda one, number=number: answered.append(number) if isinstance(one, Answered) else None
        until(lambda: len(answered) >= 2 * ROWS)
        before = len(answered)
        reply = server.post("/v1/predict/chat", {"inputs": "the bank", "max_tokens": 6, "ignore_eos": True})
        after = len(answered)
    assert reply.status == 200
    assert after - before <= 3 * ROWS, "those that were being written, and those beside it"
    assert after < 100
    until(lambda: len(answered) == 200)
