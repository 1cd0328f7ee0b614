"""Scores of saved models are scikit-learn's, of the very answers that a caller gets."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sklearn

import small
import tunesmith as ts
from tunesmith import cli
from tunesmith.data.labelled import read_labelled
from tunesmith.evaluation import evaluate

Finished = Callable[[str], Path]


@pytest.fixture(scope="module")
def finished(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Gives the folder of a short run of a kind."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("evaluate") / kind
            more = {"train.max_steps": 12, "train.evaluate_every": "12 steps"}
            made[kind] = ts.train(quiet=True, out=str(folder), **parameters(kind, **more)).folder
        return made[kind]

    return of


def predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main(list(words)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def as_csv(rows: list[dict[str, Any]], kind: str, file: Path) -> Path:
    """The rows of predictions.jsonl as a user's file."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["text", *(["text_pair"] if kind in ("pairs", "similarity") else []), "label"])
        for row in rows:
            label = ";".join(row["target"]) if isinstance(row["target"], list) else row["target"]
            writer.writerow([*row["text"].split(" ⟷ "), label])
    return file


def expected(kind: str, rows: list[dict[str, Any]]) -> dict[str, float]:
    """What scikit-learn and scipy say of the saved predictions."""
    truth, answers = [row["target"] for row in rows], [row["predicted"] for row in rows]
    if kind in ("regression", "similarity"):
        rmse = sklearn.root_mean_squared_error(truth, answers)
        return {"spearman": float(spearmanr(truth, answers).statistic), "rmse": rmse}
    if kind == "multi-label":
        names = sorted(small.TOPICS)
        truth, answers = ([[int(name in row) for name in names] for row in given] for given in (truth, answers))
    found = {
        f"f1_{how}": sklearn.f1_score(truth, answers, average=how, zero_division=0) for how in ("macro", "weighted")
    }
    if kind == "multi-label":
        return {**found, "subset_accuracy": sklearn.accuracy_score(truth, answers)}
    return {**found, "accuracy": sklearn.accuracy_score(truth, answers)}


@pytest.mark.parametrize("kind", small.KINDS)
def test_json_is_one_object_of_scikit_learns_scores(
    finished: Finished, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(kind)
    rows = predictions(folder)
    file = as_csv(rows, kind, tmp_path / "rows.csv")
    found = json.loads(printed(capsys, "evaluate", str(folder), str(file), "--json"))
    assert list(found) == ["task", "rows", "metrics", "intervals"]
    assert (found["task"], found["rows"]) == ("text-classification", len(rows))
    assert all(isinstance(value, float) for value in found["metrics"].values())
    for name, value in expected(kind, rows).items():
        assert found["metrics"][name] == pytest.approx(value, abs=1e-6), name
    report = json.loads((folder / "report.json").read_text())
    assert found["metrics"] == pytest.approx(report["metrics"], abs=1e-6)
    for name, (low, high) in found["intervals"].items():
        assert low <= found["metrics"][name] <= high


@pytest.mark.parametrize("kind", ["binary", "multi-class", "multi-label"])
def test_the_printed_report_is_scikit_learns_to_the_letter(
    finished: Finished, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(kind)
    rows = predictions(folder)
    labels = list(ts.load(folder).target.labels)
    truth, answers = [row["target"] for row in rows], [row["predicted"] for row in rows]
    more: dict[str, Any] = {"labels": labels}
    if kind == "multi-label":
        truth, answers = (np.array([[name in row for name in labels] for row in given]) for given in (truth, answers))
        more = {"target_names": labels}
    text = sklearn.classification_report(truth, answers, digits=4, zero_division=0, **more)
    assert text in printed(capsys, "evaluate", str(folder), str(as_csv(rows, kind, tmp_path / "rows.csv")))
    assert text in str(json.loads((folder / "report.json").read_text())["text"]) + "\n"


def test_python_and_the_command_line_say_the_same(
    finished: Finished, table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = finished("binary"), table("binary", 60, 9)
    model = ts.load(folder)
    result = evaluate(model, read_labelled(str(data), model.bundle.config, model.target, tmp_path))
    assert json.loads(printed(capsys, "evaluate", str(folder), str(data), "--json")) == json.loads(
        json.dumps(result.to_json())
    )
    texts = [row["text"] for row in small.rows("binary", 60, 9)]
    answers = [answer["label"] for answer in model.answers(texts)]
    labels = model.target.labels
    assert [labels[number] for number in result.predictions.predicted] == answers
    assert result.predictions.sources[0] == f"{data}:2"


def test_rows_of_some_labels_only(finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in predictions(finished("multi-class")) if row["target"] == "food"]
    file = as_csv(rows, "multi-class", tmp_path / "food.csv")
    found = json.loads(printed(capsys, "evaluate", str(finished("multi-class")), str(file), "--json"))
    assert found["rows"] == len(rows)
    truth, answers = [row["target"] for row in rows], [row["predicted"] for row in rows]
    assert found["metrics"]["accuracy"] == pytest.approx(sklearn.accuracy_score(truth, answers))


def test_labels_that_the_model_does_not_know(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\na fine film,positiv\nbad,negative\ndull,neutral\n", encoding="utf-8")
    assert cli.main(["evaluate", str(finished("binary")), str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file}:2: unknown label 'positiv'" in said
    assert "did you mean 'positive'?" in said
    assert f"{file}:4: unknown label 'neutral'" in said
