"""A user's way from a table to answers, on the command line and in Python: both say the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sklearn.metrics import accuracy_score, f1_score

import small
import tunesmith as ts
from tunesmith import bundle, cli, predict
from tunesmith.errors import BundleError, UsageError
from tunesmith.train.run import Run

Call = Callable[..., str]
RUN = "runs/reviews-text-classification"
"""Where a run on reviews.csv lies when no other folder is asked for."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table whose columns have names of their own, and a number beside."""
    home = tmp_path_factory.mktemp("home")
    for name, seed in (("reviews.csv", 0), ("more.csv", 1)):
        with (home / name).open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["id", "review", "stars"])
            out.writerows([n, row["text"], row["label"]] for n, row in enumerate(small.rows("binary", 120, seed)))
    return home


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs ``tunesmith`` there; gives what it printed as its result."""
    monkeypatch.chdir(home)

    def of(*words: str) -> str:
        code = cli.main(words)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return of


@pytest.fixture(scope="module")
def flags(model: Callable[..., Path]) -> dict[str, Any]:
    return {**small.QUICK, "model.base": str(model("bert"))}


@pytest.fixture(scope="module")
def finished(home: Path, flags: dict[str, Any]) -> Path:
    """A run by the command line, in the folder that it chooses itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        words = [f"--{name}={value}" for name, value in flags.items()]
        assert cli.main(["train", "reviews.csv", "--task", "text-classification", *words]) == 0
    return home / RUN


def predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_the_reports_scores_are_scikit_learns(finished: Path) -> None:
    rows, scores = predictions(finished), json.loads((finished / "report.json").read_text())["metrics"]
    truth, answers = ([row[name] for row in rows] for name in ("target", "predicted"))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, answers))
    for average in ("macro", "weighted"):
        assert scores[f"f1_{average}"] == pytest.approx(f1_score(truth, answers, average=average))


def test_evaluate_prints_one_object(finished: Path, call: Call, home: Path) -> None:
    found = json.loads(call("evaluate", RUN, "more.csv", "--json"))
    assert list(found) == ["task", "rows", "metrics", "intervals"]
    assert (found["task"], found["rows"]) == ("text-classification", 120)
    assert all(isinstance(value, float) for value in found["metrics"].values())
    for name, (low, high) in found["intervals"].items():
        assert low <= found["metrics"][name] <= high
    assert {"f1_weighted", "f1_macro", "accuracy"} <= set(found["intervals"])
    with (home / "more.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = [answer["label"] for answer in ts.load(finished).answers([row["review"] for row in rows])]
    truth = [row["stars"] for row in rows]
    assert found["metrics"]["accuracy"] == pytest.approx(accuracy_score(truth, answers))
    assert found["metrics"]["f1_macro"] == pytest.approx(f1_score(truth, answers, average="macro"))
    assert "f1_weighted: " in call("evaluate", RUN, "more.csv")


def test_predict_and_python_answer_alike(finished: Path, call: Call) -> None:
    texts = ["the film was great", "awful", "the day"]
    printed = [
        json.loads(line) for line in call("predict", RUN, *texts, "--threshold", "0.6", "--top_k", "2").splitlines()
    ]
    model = ts.load(finished)
    answers = model.answers(texts, threshold=0.6, top_k=2)
    for one, other in zip(printed, answers, strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"])
        assert [entry["label"] for entry in one["top"]] == [entry["label"] for entry in other["top"]]
    for answer in model.answers(texts, threshold=1.0):
        assert answer["label"] == "unknown"
    with pytest.raises(UsageError, match="did you mean 'threshold'"):
        model.answers(texts, treshold=0.6)


def test_a_file_is_answered_row_by_row(finished: Path, call: Call, home: Path) -> None:
    """Its columns stay, a row that cannot be read says why, and an unfinished output goes on."""
    rows = [("a", "a great film"), ("b", " "), ("c", "dull"), ("d", "awful plot"), ("e", "loved")]
    with (home / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("key", "review"), *rows])
    words = ("predict", RUN, "--input", "in.csv", "--chunk", "2")
    call(*words, "--output", "out.jsonl")
    whole = (home / "out.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in whole.splitlines()]
    assert [(row["key"], row["review"]) for row in found] == rows
    assert found[1]["error"] == "text is blank"
    assert [index for index, row in enumerate(found) if "prediction" in row] == [0, 2, 3, 4]
    assert found[0]["prediction"]["label"] == ts.load(finished).answers(["a great film"])[0]["label"]

    first, second, third = whole.splitlines(keepends=True)[:3]
    marked = second.replace("blank", "BLANK")
    (home / "out.jsonl").write_text(first + marked + third[:9], encoding="utf-8")
    call(*words, "--output", "out.jsonl")
    assert (home / "out.jsonl").read_text(encoding="utf-8") == whole.replace(second, marked)
    assert call(*words).splitlines() == whole.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "nothing.csv"], "nothing.csv: no such file"),
        (["--input", "reviews.csv", "--output", "reviews.csv/out"], "reviews.csv/out: the output cannot be written"),
        (["--input", "other.csv", "--output", "new.jsonl"], "there is no column 'review'\n    did you mean 'reviews'?"),
        (["--output", "new.jsonl"], "give texts, or --input"),
        (["fine", "--treshold", "0.6"], "did you mean 'threshold'"),
    ],
)
def test_what_predict_refuses(
    words: list[str], said: str, finished: Path, home: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "other.csv").write_text("reviews,b\nfine,1\n")
    assert cli.main(["predict", RUN, *words]) == 2
    assert said in capsys.readouterr().err
    assert not (home / "new.jsonl").exists()


def test_a_column_that_answers_would_write_over_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("review,prediction\na fine film,mine\n", encoding="utf-8")
    assert cli.main(["predict", str(finished), "--input", str(rows)]) == 2
    assert "there is a column 'prediction' already" in capsys.readouterr().err


def test_runs_and_compare(finished: Path, call: Call, flags: dict[str, Any]) -> None:
    words = [f"--{name}={value}" for name, value in {**flags, "adapter": "head", "out": "runs/head"}.items()]
    report = json.loads(call("train", "reviews.csv", *words, "--json"))
    assert report["adapter"] == "head"
    rows = json.loads(call("runs", "--json"))
    assert {row["run"] for row in rows} == {Path(RUN).name, "head"}
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    compared = json.loads(call("compare", RUN, "runs/head", "--json"))
    assert "adapter" in json.dumps(compared["config"])
    assert compared["test"] is not None


def test_the_saved_config_repeats_the_run(finished: Path, call: Call, home: Path) -> None:
    call("train", f"{RUN}/config.yaml", "--out", "again")
    assert small.weights_of(home / "again") == small.weights_of(finished)
    assert predictions(home / "again") == predictions(finished)


def test_python_gives_the_same_run(finished: Path, flags: dict[str, Any], home: Path, call: Call) -> None:
    run = ts.train("reviews.csv", task="text-classification", out="python", quiet=True, **flags)
    assert run.report.metrics == json.loads((finished / "report.json").read_text())["metrics"]
    assert small.weights_of(run.folder) == small.weights_of(finished)
    assert ts.load(run.folder).answers(["fine film"], threshold=0.6) == run.model().answers(
        ["fine film"], threshold=0.6
    )
    with pytest.raises(UsageError, match="the run is finished"):
        ts.resume(run.folder)


def test_long_texts_are_read_in_windows(finished: Path, call: Call, home: Path) -> None:
    more = ["--model.max_length=8", "--model.long_text=windows", "--model.window_overlap=0", "--out=windows"]
    call("train", f"{RUN}/config.yaml", "--task.calibrate=none", *more)
    model = ts.load(home / "windows")
    long = "great loved fine great loved fine bad dull awful bad dull awful great fine loved great fine loved"
    mean, vote = (model.answers([long], windows=how, top_k=2)[0] for how in ("mean", "vote"))
    parts = [model.answers([" ".join(long.split()[start : start + 6])], top_k=2)[0] for start in (0, 6, 12)]
    scores = [{entry["label"]: entry["score"] for entry in part["top"]} for part in parts]
    assert mean["score"] == pytest.approx(np.mean([score[mean["label"]] for score in scores]), abs=1e-3)
    assert vote["score"] == pytest.approx(np.mean([part["label"] == vote["label"] for part in parts]))


@pytest.mark.parametrize("kind", small.KINDS)
def test_every_kind_of_labels(run: Callable[..., Run], kind: str) -> None:
    finished = run(kind, **{"train.epochs": 6 if kind in ("pairs", "similarity") else 3})
    folder, report = finished.folder, finished.report
    least = {"multi-label": 0.6, "regression": 0.8, "similarity": 0.3}.get(kind, 0.75)
    assert report.headline.value > least, report.headline
    model = finished.model()
    assert model.replay() < 1e-3
    pair = [("the soup today", "the soup not not")] if kind in ("pairs", "similarity") else ["great team goal"]
    answer = model.answers(pair)[0]
    if kind in ("regression", "similarity"):
        assert isinstance(answer["value"], float)
    elif kind == "multi-label":
        assert len(model.target.thresholds) == 4
        assert answer["labels"] == [label for label in answer["labels"] if label in small.TOPICS]
    else:
        assert answer["label"] in model.target.labels
    for file in folder.rglob("*"):
        if file.is_file():
            assert b"LABEL_" not in file.read_bytes(), file


def test_pairs_are_read_jointly_or_apart(run: Callable[..., Run]) -> None:
    """Apart, the order of two texts hardly counts; jointly a model sees one sequence."""
    apart = run("pairs", out="apart", **{"task.pairs": "separate", "train.max_steps": 4}).model()
    joint = run("pairs", out="joint", **{"task.pairs": "joint", "train.max_steps": 4}).model()
    there, back = ("the soup", "not the bread"), ("not the bread", "the soup")
    one, other = (answer["score"] for answer in apart.answers([there, back]))
    assert one == pytest.approx(other, abs=1e-5)
    one, other = (answer["score"] for answer in joint.answers([there, back]))
    assert one != pytest.approx(other, abs=1e-5)
    for model in (apart, joint):
        with pytest.raises(UsageError, match="text_pair is missing"):
            model.answers(["the soup"])


def test_answers_that_drift_are_noticed(finished: Path, tmp_path: Path) -> None:
    copy = _copy(finished, tmp_path / "copy")
    assert ts.load(copy).replay() < 1e-3
    lines = [json.loads(line) for line in (copy / "golden.jsonl").read_text().splitlines()]
    assert 1 <= len(lines) <= 16
    lines[0]["scores"] = [1 - score for score in lines[0]["scores"]]
    (copy / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BundleError, match="answers drifted by"):
        ts.load(copy).replay()


@pytest.mark.parametrize("file", ["head/model.safetensors", "tokenizer.json", "1_Pooling/config.json", "config.json"])
def test_a_changed_or_missing_file_is_refused(finished: Path, tmp_path: Path, file: str) -> None:
    copy = _copy(finished, tmp_path / "copy")
    if file.endswith(".safetensors"):
        weights = load_file(copy / file)
        save_file({name: weight + 1 for name, weight in weights.items()}, copy / file)
    else:
        (copy / file).unlink()
    with pytest.raises(BundleError, match=rf"damaged: {file} changed or missing"):
        predict.load(copy)


@pytest.mark.parametrize("described", ["", "[]", "{}"])
def test_a_damaged_description_is_refused(finished: Path, tmp_path: Path, described: str) -> None:
    copy = _copy(finished, tmp_path / "copy")
    (copy / "bundle.json").write_text(described)
    with pytest.raises(BundleError, match="damaged"):
        bundle.open_bundle(copy)


def test_a_bundle_of_a_newer_version_is_refused(finished: Path, tmp_path: Path) -> None:
    copy = _copy(finished, tmp_path / "copy")
    described = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**described, "format": bundle.FORMAT + 1}))
    with pytest.raises(BundleError, match="newer version"):
        bundle.open_bundle(copy)


def _copy(folder: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, to))
