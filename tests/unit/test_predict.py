"""The one way from texts to answers."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import children
import small
import tunesmith as ts
from sequences import Sequences
from tunesmith.engines import base, pytorch
from tunesmith.errors import BundleError, UsageError
from tunesmith.predict import Model
from tunesmith.tasks.base import Target
from tunesmith.tasks.text_classification import Params, Request, Task

Finished = Callable[[str], Path]


@pytest.fixture(scope="module")
def finished(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Gives the folder of a short run of a kind."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("predict") / kind
            more = {"train.max_steps": 8, "train.evaluate_every": "8 steps", "request.top_k": 2}
            made[kind] = ts.train(quiet=True, out=str(folder), **parameters(kind, **more)).folder
        return made[kind]

    return of


@pytest.fixture
def opened(finished: Finished) -> Model:
    return ts.load(finished("binary"))


def test_answers_come_in_the_order_of_the_inputs(opened: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are sorted by length and cut into batches."""
    texts = [row["text"] for row in small.rows("binary", 40, seed=5)]
    alone = [opened.answers([text])[0] for text in texts]
    for tokens in (16384, 50, 1):
        monkeypatch.setattr(type(opened.reader.engine), "batch_tokens", tokens)
        for order in (texts, texts[::-1], random.Random(1).sample(texts, k=40)):
            for text, answer in zip(order, opened.answers(order), strict=True):
                expected = alone[texts.index(text)]
                assert answer["label"] == expected["label"]
                assert answer["score"] == pytest.approx(expected["score"], abs=1e-5)


def test_the_same_text_in_every_form(opened: Model) -> None:
    (expected,) = opened.answers(["fine film"])
    for form in (("fine film",), ["fine film"], {"text": "fine film"}):
        assert opened.answers([form]) == [expected]
    assert opened.answers([]) == []
    assert opened.answers(("fine film",)) == [expected]


def test_request_defaults_are_the_bundles(opened: Model) -> None:
    assert len(opened.answers(["fine film"])[0]["top"]) == 2
    assert "top" not in opened.answers(["fine film"], top_k=1)[0]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"treshold": 0.5}, "did you mean 'threshold'?"),
        ({"threshold": 1.5}, "legal: number >= 0 and <= 1"),
        ({"top_k": 0}, "legal: whole number >= 1"),
        ({"windows": "median"}, "legal: one of mean, vote"),
    ],
)
def test_illegal_requests_are_refused(opened: Model, request_: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        opened.answers(["fine film"], **request_)
    assert said in str(error.value)
    assert "request parameter" in str(error.value)


def test_all_mistakes_of_a_request_are_told_at_once(opened: Model) -> None:
    with pytest.raises(UsageError) as error:
        opened.answers(["fine"], treshold=0.5, top_k=0)
    assert len(error.value.problems) == 2


def test_all_inputs_that_cannot_be_read_are_told_at_once(opened: Model) -> None:
    given: list[Any] = ["fine", "", " \t", None, 5, {"text": "fine", "label": "x"}, {"txt": "fine"}, ("a", "b", "c")]
    given += [(), "half \ud83d of it", {}]
    with pytest.raises(UsageError, match="10 of 11 inputs cannot be read") as error:
        opened.answers(given)
    places = [problem.where for problem in error.value.problems]
    assert places == [f"input {number}" for number in range(1, 11)]


def test_one_text_instead_of_a_list(opened: Model) -> None:
    with pytest.raises(UsageError, match="takes a list"):
        opened.answers("fine film")


@pytest.mark.parametrize(
    "text",
    ["名探偵コナン", "🙂" * 9, "a\x00b", "ünïcödé ﷽", "\u200b \u200b x", "9" * 99, "a\nb\tc"],
    ids=ascii,
)
def test_any_text_is_answered(opened: Model, text: str) -> None:
    (answer,) = opened.answers([text])
    assert answer["label"] in opened.target.labels
    assert 0 <= answer["score"] <= 1


def test_what_is_cut_is_said(opened: Model) -> None:
    limit = opened.bundle.config.model.max_length
    assert limit
    short, long = opened.answers(["fine film", "fine " * (limit + 8)])
    assert "cut_tokens" not in short
    assert long["cut_tokens"] == 10  # of limit + 10 with the two special ones


def test_pairs_need_two_texts_and_others_one(finished: Finished, opened: Model) -> None:
    with pytest.raises(UsageError, match="text_pair is missing"):
        ts.load(finished("pairs")).answers(["the soup"])
    with pytest.raises(UsageError, match="text_pair is given"):
        opened.answers([("the soup", "the bread")])


@pytest.mark.parametrize("kind", small.KINDS)
def test_golden_answers_come_back(finished: Finished, kind: str) -> None:
    found = ts.load(finished(kind))
    assert found.replay() < 1e-5
    lines = (finished(kind) / "golden.jsonl").read_text().splitlines()
    assert len(lines) == 16


@pytest.mark.parametrize("content", [None, "{", '{"input": "fine"}\n', "[]\n"])
def test_golden_answers_that_cannot_be_read(finished: Finished, tmp_path: Path, content: str | None) -> None:
    copy = Path(shutil.copytree(finished("binary"), tmp_path / "copy"))
    (copy / "golden.jsonl").unlink()
    if content:
        (copy / "golden.jsonl").write_text(content)
    with pytest.raises(BundleError, match="golden answers"):
        ts.load(copy).replay()


def test_broken_weights_are_told(opened: Model) -> None:
    assert isinstance(opened.reader.engine, pytorch.Engine)
    with torch.no_grad():
        opened.reader.engine.network.head.linear.weight.fill_(float("nan"))
    with pytest.raises(BundleError, match="not finite"):
        opened.answers(["fine film"])


class Fixed(base.Engine):
    """Gives each sequence the outputs that its first token stands for."""

    def __init__(self, outputs: np.ndarray) -> None:
        self.table = outputs

    @classmethod
    def open(cls, bundle: Any) -> Fixed:
        raise NotImplementedError

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        found: np.ndarray = self.table[inputs["input_ids"][:, 0]]
        return found


def row_scores(outputs: np.ndarray, rows: list[int], target: Target, how: Literal["mean", "vote"]) -> np.ndarray:
    examples = Sequences(rows)
    return Task(Params()).scores(Fixed(outputs).sequences(examples), examples, target, Request(windows=how))


LOGITS = np.log([[0.9, 0.1], [0.4, 0.6], [0.45, 0.55], [0.2, 0.8]])


@pytest.mark.parametrize(("how", "expected"), [("mean", (0.9 + 0.4 + 0.45) / 3), ("vote", 1 / 3)])
def test_windows_of_one_label(how: Literal["mean", "vote"], expected: float) -> None:
    target = Target("multi-class", ("a", "b"))
    scores = row_scores(LOGITS, [0, 0, 0, 1], target, how)
    assert scores[:, 0] == pytest.approx([expected, 0.2 if how == "mean" else 0.0])
    assert scores.sum(1) == pytest.approx([1, 1])


def test_windows_of_several_labels_and_of_numbers() -> None:
    odds, rows = np.log([[9.0, 0.25], [1.5, 4.0], [0.1, 0.1]]), [0, 0, 1]
    voted = row_scores(odds, rows, Target("multi-label", ("a", "b")), "vote")
    assert voted.tolist() == [[1.0, 0.5], [0.0, 0.0]]
    number = Target("regression", ("value",), scale=(10.0, 2.0))
    values = row_scores(np.array([[1.0], [2.0], [-1.0]]), rows, number, "vote")
    assert values.tolist() == [13.0, 8.0]


@pytest.mark.slow
def test_killed_half_way_it_goes_on(finished: Finished, tmp_path: Path) -> None:
    rows, output, said = tmp_path / "in.csv", tmp_path / "out.jsonl", tmp_path / "said"
    small.write(rows, "binary", 400)
    words = ["predict", str(finished("binary")), "--input", str(rows), "--output", str(output), "--chunk", "1"]
    child, end = children.start(words, said), time.monotonic() + 60
    while not (output.exists() and output.read_bytes().count(b"\n") > 40):
        assert time.monotonic() < end
        assert child.is_alive(), said.read_text()
        time.sleep(0.002)
    child.kill()
    child.join()
    before = output.read_bytes()
    again = children.start([*words[:-1], "64"], said)
    again.join()
    assert again.exitcode == 0, said.read_text()
    assert output.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["text"] for row in found] == [row["text"] for row in small.rows("binary", 400)]
    labels = [answer["label"] for answer in ts.load(finished("binary")).answers([row["text"] for row in found])]
    assert [row["prediction"]["label"] for row in found] == labels
    assert "were there already" in said.read_text()
