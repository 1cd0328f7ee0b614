"""The leaderboard: the best first, nothing compared that does not compare, unreadable runs named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tunesmith import cli, report
from tunesmith.metrics import Predictions
from tunesmith.report import Timing


def write_run(
    folder, skill: float, kind: str = "multi-class", seed: int = 0, config: str = "train: {epochs: 3}\n"
) -> None:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, 200)
    noise = random.normal(size=(200, 3))
    scores = np.exp(noise + skill * np.eye(3)[targets])
    scores /= scores.sum(axis=1, keepdims=True)
    labels, predicted = ("a", "b", "c"), scores.argmax(axis=1)
    if kind == "regression":
        targets, scores, labels = targets.astype(float), targets + noise[:, 0] / skill, ("score",)
        predicted = scores
    texts = [f"text {seed} {row}" for row in range(200)]
    predictions = Predictions(kind, labels, targets, scores, predicted, texts, np.arange(200) % 9 + 1)
    headline = "f1_macro" if kind == "multi-class" else "rmse"
    built = report.build(
        predictions,
        task="text-classification",
        base="org/small",
        adapter="full",
        headline=headline,
        rows={"train": 50, "test": 200},
        timing=Timing(train_s=12.0),
    )
    folder.mkdir(parents=True)
    report.write(built, predictions, folder)
    (folder / "config.yaml").write_text(config)


def rows(capsys, *words: str) -> list[dict]:
    assert cli.main(["runs", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_best_run_comes_first(tmp_path, capsys):
    for name, skill in {"weak": 0.5, "strong": 3.0, "middle": 1.5}.items():
        write_run(tmp_path / name, skill)
    found = rows(capsys, str(tmp_path))
    assert [row["run"] for row in found] == ["strong", "middle", "weak"]
    first = found[0]
    assert first["interval"][0] <= first["value"] <= first["interval"][1]
    assert (first["metric"], first["base"], first["adapter"], first["train_s"]) == (
        "f1_macro",
        "org/small",
        "full",
        12.0,
    )


def test_by_a_metric_where_less_is_better(tmp_path, capsys):
    write_run(tmp_path / "weak", 0.5)
    write_run(tmp_path / "strong", 3.0)
    write_run(tmp_path / "number", 3.0, kind="regression")
    found = rows(capsys, str(tmp_path), "--metric", "log_loss")
    assert [row["run"] for row in found] == ["strong", "weak", "number"]
    assert found[-1]["value"] is None


def test_runs_scored_on_other_rows_stand_apart(tmp_path, capsys):
    write_run(tmp_path / "one", 0.5, seed=1)
    write_run(tmp_path / "two", 3.0, seed=2)
    write_run(tmp_path / "three", 1.5, seed=1)
    together = [row["test"] for row in rows(capsys, str(tmp_path))]
    assert together in ([together[0]] * 2 + [together[2]], [together[0]] + [together[2]] * 2)
    assert len(set(together)) == 2
    assert cli.main(["runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "scores compare only between runs with the same letters" in printed


def test_a_table_names_score_interval_and_cost(tmp_path, capsys):
    write_run(tmp_path / "only", 2.0)
    assert cli.main(["runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    shown = report.load(tmp_path / "only").headline
    assert f"{shown.value:.4f} [{shown.interval[0]:.4f}, {shown.interval[1]:.4f}]" in printed
    assert "12.0 s" in printed
    assert "same letters" not in printed


def test_an_unreadable_run_is_named_and_the_rest_is_shown(tmp_path, capsys):
    write_run(tmp_path / "good", 2.0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text("{")
    assert cli.main(["runs", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "good" in captured.out
    assert "broken" in captured.err


def test_no_runs_and_no_folder(tmp_path, capsys):
    assert cli.main(["runs", str(tmp_path)]) == 0
    assert "no finished run" in capsys.readouterr().out
    assert cli.main(["runs", str(tmp_path / "absent")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("empty", [False, True])
def test_an_unknown_metric_is_refused(tmp_path, capsys, empty):
    if not empty:
        write_run(tmp_path / "run", 2.0)
    assert cli.main(["runs", str(tmp_path), "--metric", "f1_marco"]) == 2
    assert "did you mean 'f1_macro'" in capsys.readouterr().err
