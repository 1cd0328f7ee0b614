"""Bundles of one base model answer in one batch as each does by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith import predict, side_by_side
from tunesmith.errors import UsageError
from tunesmith.train.run import Run

QUICK = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1}
ASKED = ["the bank", "the rain in the night", "goal", "soup and bread", "a coin"]


@pytest.fixture
def written(run: Callable[..., Run]) -> Callable[..., Path]:
    def of(out: str, kind: str = "conversations", family: str = "llama", **more: Any) -> Path:
        return run(
            kind, family, 30, out=out, **{**QUICK, "adapter": "lora", "train.learning_rate": 0.05, **more}
        ).folder

    return of


def plain(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in answer.items() if name != "seed"} for answer in answers]


def test_bundles_answer_together_as_they_do_alone(written: Callable[..., Path]) -> None:
    folders = {
        "plain": written("plain"),
        "stable": written("stable", **{"adapter.rslora": True, "adapter.rank": 3, "request.max_tokens": 5}),
        "principal": written("principal", **{"adapter.start": "pissa", "adapter.rank": 2}),
        "orthogonal": written("orthogonal", **{"adapter.start": "olora", "adapter.rank": 2}),
        "translating": written("translating", "translations", **{"adapter.lora_plus": 4.0}),
    }
    together = tunesmith.load_side_by_side(folders)
    alone = {name: predict.load(folder) for name, folder in folders.items()}
    names = [name for _ in ASKED for name in folders]
    asked = [(name, ASKED[number % len(ASKED)]) for number, name in enumerate(names)]
    found = plain(together.answers(asked))
    expected: list[Any] = [plain(alone[name].answers([given]))[0] for name, given in asked]
    assert found == expected
    asked = [(name, "the bank") for name in folders]
    first = [answer["logprobs"][0]["logprob"] for answer in together.answers(asked, logprobs=True)]
    apart = [alone[name].answers([given], logprobs=True)[0]["logprobs"][0]["logprob"] for name, given in asked]
    assert first == pytest.approx(apart, abs=1e-4)
    assert len({round(one, 2) for one in first}) == len(folders)  # no two bundles are alike
    drawn = together.answers(asked[:5], temperature=1.0, seed=3, n=2)
    assert drawn == [alone[name].answers([given], temperature=1.0, seed=3, n=2)[0] for name, given in asked[:5]]


def test_an_encoder_decoder_is_asked_in_the_way_of_each(written: Callable[..., Path]) -> None:
    folders = [written(name, "translations", "marian", **{"train.seed": seed}) for seed, name in enumerate(("a", "b"))]
    together = side_by_side.load(folders)
    found = plain(together.answers([("a", "soup bread"), ("b", "soup bread")], num_beams=2))
    assert found == [plain(predict.load(folder).answers(["soup bread"], num_beams=2))[0] for folder in folders]


def test_what_cannot_be_asked_is_told_and_leaves_nothing_behind(written: Callable[..., Path]) -> None:
    folder = written("one")
    together = side_by_side.load({"one": folder, "two": folder})
    with pytest.raises(UsageError, match="no bundle 'tow'"):
        together.answers([("one", "hi"), ("tow", "hi")])
    with pytest.raises(UsageError, match="context"):
        together.answers([("one", "hi"), ("two", "hi " * 400)])
    with pytest.raises(UsageError, match="temperature"):
        together.answers([("one", "hi")], temperature=-1)
    assert together.scheduler.idle
    assert len(together.answers([("two", "hi"), ("one", "hi")])) == 2


def test_bundles_that_cannot_join_are_named_with_the_reason(written: Callable[..., Path]) -> None:
    good, other = written("good"), written("gpt2", family="gpt2")
    turned, whole = written("dora", adapter="dora"), written("full", adapter="full")
    for folder, why in ((turned, "it is dora"), (whole, "whole model"), (other, "another base model")):
        with pytest.raises(UsageError, match=f"'bad'.*{why}"):
            side_by_side.load({"good": good, "bad": folder})
    with pytest.raises(UsageError, match="names that differ"):
        side_by_side.load([good, good])
