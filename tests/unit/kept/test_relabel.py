"""A log becomes rows that training reads: of every task, with the right labels, each input once."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import logs
import small
from served import running
from tunesmith import cli, predict
from tunesmith import config as configs
from tunesmith.errors import UsageError
from tunesmith.kept import relabel
from tunesmith.kept.prediction import Feedback, Prediction, Wanted
from tunesmith.kept.store import Log
from tunesmith.train import run as runs


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(str(tmp_path / "log.db"), make=True).open()


def written(log: Log, folder: Path, out: Path, found: list[Prediction], **more: Any) -> list[dict[str, str]]:
    """The rows of a file that is made of some predictions, with the feedback that they come with."""
    origin = logs.origin(folder)
    log.add(found, {origin.id: origin})
    for one in found:
        if one.feedback:
            kept = log.find(one.request, one.number, one.key_name)
            assert kept is not None
            assert kept.id is not None
            log.give(kept.id, one.feedback, "")
    relabel.write(log, origin, Wanted(), out, **{"pick": None, "count": 500, "seed": 0, **more})
    with out.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines)) if out.suffix == ".csv" else [json.loads(line) for line in lines]


def of(request: str, text: str, label: str, score: float, truth: str | None = None, **more: Any) -> Prediction:
    said = None if truth is None else Feedback(0.0, {"label": truth})
    answer = {"label": label, "score": score}
    return logs.prediction(request=request, input=text, answer=answer, score=score, feedback=said, **more)


def test_rows_are_called_as_in_the_training_data(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    found = [
        of("a", "soup, please", "food", 0.9),
        of("b", "a debt", "food", 0.6, "money"),
        of("c", "?", "unknown", 0.2),
    ]
    rows = written(log, model("bert"), tmp_path / "out.csv", found)
    assert [(row["review"], row["topic"], row["labelled_by"], row["suggested"]) for row in rows] == [
        ("?", "", "model", ""),
        ("a debt", "money", "feedback", "food"),
        ("soup, please", "food", "model", "food"),
    ]
    assert [row["request"] for row in rows] == ["c#0", "b#0", "a#0"]


def test_each_input_once_and_the_one_with_feedback_counts(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    found = [of("a", "A  debt", "food", 0.6, "money", at=1.0), of("b", "a debt", "food", 0.6, at=2.0)]
    rows = written(log, model("bert"), tmp_path / "out.jsonl", found)
    assert [(row["topic"], row["labelled_by"]) for row in rows] == [("money", "feedback")]


@pytest.mark.parametrize(
    ("pick", "requests"),
    [
        ("uncertain", ["b", "c", "d", "a"]),
        ("disagreed", ["d", "b"]),
        ("feedback", ["c", "b"]),
        ("drifted", ["d", "c", "b", "a"]),
    ],
)
def test_rows_are_picked(model: Callable[..., Path], log: Log, tmp_path: Path, pick: str, requests: list[str]) -> None:
    found = [
        of("a", "the film was the plot", "food", 0.95),
        of("b", "the debt", "food", 0.4, "money", at=1.0),
        of("c", "the wind rain", "weather", 0.5, "weather", at=2.0),
        of("0", "上海 soup", "money", 0.7, at=3.0, version=1),
        of("d", "上海 soup", "food", 0.8, at=4.0, version=2),
    ]
    rows = written(log, model("bert"), tmp_path / "out.jsonl", found, pick=pick)
    assert [row["request"][0] for row in rows] == requests


def test_rows_that_do_not_say_how_sure_they_are_come_last(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    found = [replace(of("a", "a film", "food", 0.5), score=None), of("b", "a plot", "food", 0.9)]
    rows = written(log, model("bert"), tmp_path / "out.csv", found)
    assert [row["request"] for row in rows] == ["b#0", "a#0"]


def test_chance_picks_the_same_rows_again(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    found = [of(f"{n}", f"text {n}", "food", 0.5) for n in range(50)]
    first = written(log, model("bert"), tmp_path / "1.csv", found, pick="random", count=5)
    again = written(log, model("bert"), tmp_path / "2.csv", [], pick="random", count=5)
    other = written(log, model("bert"), tmp_path / "3.csv", [], pick="random", count=5, seed=1)
    assert first == again != other


def test_an_answer_that_was_rated_bad_is_disputed(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    bad, good = (
        replace(of(name, name, "food", 0.5), feedback=Feedback(0.0, rating=rating))
        for name, rating in [("a", -1), ("b", 1)]
    )
    rows = written(log, model("bert"), tmp_path / "out.csv", [bad, good], pick="disagreed")
    assert [(row["request"], row["labelled_by"]) for row in rows] == [("a#0", "model")]


def test_what_cannot_be_written_is_told(model: Callable[..., Path], log: Log, tmp_path: Path) -> None:
    found = [of("a", "a film", "food", 0.5)]
    with pytest.raises(UsageError, match="neither"):
        written(log, model("bert"), tmp_path / "out.txt", found)
    with pytest.raises(UsageError, match="nobody told"):
        written(log, model("bert"), tmp_path / "out.csv", [], pick="feedback")
    written(log, model("bert"), tmp_path / "out.csv", [])
    with pytest.raises(UsageError, match="already"):
        written(log, model("bert"), tmp_path / "out.csv", [])


def test_words_of_no_surprise_need_a_bundle_that_remembers(
    model: Callable[..., Path], log: Log, tmp_path: Path
) -> None:
    origin = replace(logs.origin(model("bert")), training=None)
    log.add([of("a", "a film", "food", 0.5)], {origin.id: origin})
    with pytest.raises(UsageError, match="does not remember"):
        relabel.write(log, origin, Wanted(), tmp_path / "out.csv", pick="drifted", count=5, seed=0)


WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
KINDS = [kind for kinds in small.TASKS.values() for kind in kinds]


@pytest.mark.parametrize("kind", KINDS)
def test_training_reads_what_every_task_answered(
    run: Callable[..., runs.Run], log: Log, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers of a fresh bundle to the inputs of its training become a file, and a training on it runs as told."""
    more = WRITES if kind in small.WRITTEN else {"train.epochs": 2}
    folder = run(kind, count=64, **more).folder
    model = predict.load(folder)
    inputs = [dict(_asked(model, row)) for row in small.rows(kind, 48, 9)]
    answers = model.answers(inputs)
    from tunesmith.kept import origin as origins

    origin = origins.of_folder(folder)
    found = [
        logs.prediction(
            request=f"{n}", input=given, answer=answer, score=origin.form.confidence(answer), bundle=origin.id
        )
        for n, (given, answer) in enumerate(zip(inputs, answers, strict=True))
    ]
    log.add(found, {origin.id: origin})
    out = tmp_path / ("rows.jsonl" if kind not in ("binary", "questions", "entities") else "rows.csv")
    assert cli.main(["data", "from-log", str(tmp_path / "log.db"), str(out), "--count", "40"]) == 0
    told = capsys.readouterr().out.split("then: tunesmith ")[1].split()
    flags = {word.removeprefix("--"): value.strip("'") for word, value in zip(told[2::2], told[3::2], strict=True)}
    again = configs.resolve(
        keywords={
            **small.QUICK,
            **_reading(kind),
            **more,
            **flags,
            "data.train": told[1],
            "model.base": model.bundle.config.model.base,
        },
        environment={},
    )
    again = again.model_copy(update={"out": str(tmp_path / "again")})
    assert runs.train(again, quiet=True).report.rows["train"] > 0


def _reading(kind: str) -> dict[str, Any]:
    """How texts of a kind are read, which no file tells."""
    return {name: value for name, value in small.options(kind).items() if name.startswith("model.")}


def _asked(model: predict.Model, row: dict[str, Any]) -> dict[str, Any]:
    """What a caller would ask of a row of training."""
    if "prompt" in row:
        return {"messages": [{"role": "user", "content": row["prompt"]}]}
    if "messages" in row:
        return {"messages": row["messages"][:-1]}
    return {name: row[name] for name in model.task.inputs if name in row}


def test_a_whole_round(
    run: Callable[..., runs.Run], tmp_path: Path, parameters: Callable[..., dict[str, Any]], capsys: Any
) -> None:
    """Train, serve, ask, say what was wrong, make rows of it, and train on them: the model answers as it was told."""
    first = run("binary", out="first", **{"train.epochs": 1})
    file = tmp_path / "log.db"
    asked = small.rows("binary", 60, 3)
    with running({"reviews": first.folder}, **{"prediction-log": str(file)}) as server:
        reply = server.post("/v1/predict/reviews", {"inputs": [row["text"] for row in asked]})
        for number, row in enumerate(asked):
            body = {"id": reply.body["id"], "input": number, "label": row["label"]}
            assert server.post("/v1/feedback", body).status == 200
    out = tmp_path / "more.csv"
    assert cli.main(["data", "from-log", str(file), str(out), "--pick", "feedback"]) == 0
    assert "labelled by feedback" in capsys.readouterr().out
    with out.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    truth = {row["text"]: row["label"] for row in asked}
    assert {row["text"]: row["label"] for row in rows} == truth
    keywords = {**parameters("binary", out=str(tmp_path / "second")), "data.train": str(out), "train.epochs": 8}
    second = runs.train(configs.resolve(keywords=keywords, environment={}), quiet=True)
    texts = list(truth)
    right = sum(a["label"] == truth[text] for a, text in zip(second.model().answers(texts), texts, strict=True))
    assert right > 0.8 * len(texts)
