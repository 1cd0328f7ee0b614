"""Two runs side by side: what differs, by how much, and whether that is chance."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tunesmith import cli, report
from tunesmith.metrics import Predictions

LABELS = ("a", "b", "c")


def write_run(folder, skill: float, seed: int = 0, labels=LABELS, headline="f1_macro", noise_seed=0, **config) -> None:
    targets = np.random.default_rng(seed).integers(0, 3, 300)
    noise = np.random.default_rng([seed, noise_seed]).normal(size=(300, 3))
    scores = np.exp(noise + skill * np.eye(3)[targets])
    scores /= scores.sum(axis=1, keepdims=True)
    texts = [f"text {seed} {row}" for row in range(300)]
    predictions = Predictions("multi-class", labels, targets, scores, scores.argmax(axis=1), texts, np.full(300, 4))
    built = report.build(
        predictions,
        task="text-classification",
        base="org/small",
        adapter="full",
        headline=headline,
        rows={"test": 300},
    )
    folder.mkdir()
    report.write(built, predictions, folder)
    (folder / "config.yaml").write_text(json.dumps({"train": {"seed": 0, "epochs": 3, **config}, "out": None}))


def compared(capsys, *words) -> dict:
    assert cli.main(["compare", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_better_run_is_found_better(tmp_path, capsys):
    write_run(tmp_path / "a", 0.7)
    write_run(tmp_path / "b", 2.5, noise_seed=1, epochs=5)
    found = compared(capsys, tmp_path / "a", tmp_path / "b")
    assert found["config"] == {"train.epochs": [3, 5]}
    row, test = found["scores"]["f1_macro"], found["test"]
    assert row["difference"] == pytest.approx(row["b"] - row["a"])
    assert test["name"] == "f1_macro"
    assert test["difference"] == pytest.approx(row["difference"])
    assert test["p_value"] < 0.01
    assert 0 < test["interval"][0] < test["difference"] < test["interval"][1]
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "B is better: f1_macro +" in printed
    assert "train.epochs" in printed
    assert cli.main(["compare", str(tmp_path / "b"), str(tmp_path / "a"), "--metric", "log_loss"]) == 0
    assert "A is better: log_loss +" in capsys.readouterr().out


def test_equal_runs_are_not_told_apart(tmp_path, capsys):
    write_run(tmp_path / "a", 1.5)
    write_run(tmp_path / "b", 1.5)
    found = compared(capsys, tmp_path / "a", tmp_path / "b")
    assert found["config"] == {}
    assert found["test"]["p_value"] == 1
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "no difference beyond chance" in printed
    assert "the configs are the same" in printed


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"seed": 5}, "scored on different rows"), ({"labels": ("a", "b", "d")}, "different labels: c, d")],
)
def test_runs_that_cannot_be_paired_say_why(tmp_path, capsys, change, reason):
    write_run(tmp_path / "a", 1.5)
    write_run(tmp_path / "b", 1.5, **change)
    found = compared(capsys, tmp_path / "a", tmp_path / "b")
    assert found["test"] is None
    assert reason in found["why_not"]
    assert set(found["scores"]) >= {"accuracy", "f1_macro"}
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "no test of significance: the runs" in capsys.readouterr().out


def test_unknown_metric_and_missing_run_are_refused(tmp_path, capsys):
    write_run(tmp_path / "a", 1.5)
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "a"), "--metric", "f1_marco"]) == 2
    assert "did you mean 'f1_macro'" in capsys.readouterr().err
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "nothing")]) == 2
    assert "not a finished run" in capsys.readouterr().err
