"""Cross-validation beside a run: each row is judged once, by a network that never saw it, and nothing else changes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import children
import small
from tunesmith import plugins, report
from tunesmith.data.prepare import prepare
from tunesmith.errors import UsageError
from tunesmith.train import folds, learner, track
from tunesmith.train.journal import Journal

FOLDS: dict[str, Any] = {"train.folds": 3}


def lines(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    text = (folder / "out_of_fold.jsonl").read_text(encoding="utf-8")
    return [entry for entry in map(json.loads, text.splitlines()) if entry["split"] == split]


def test_every_row_is_held_out_once_and_the_final_model_is_as_without(run: Callable[..., Any]) -> None:
    plain, crossed = run(out="plain"), run(out="crossed", **FOLDS)
    assert small.weights_of(crossed.folder) == small.weights_of(plain.folder)
    assert sorted(entry["row"] for entry in lines(crossed.folder)) == list(range(plain.report.rows["train"]))
    assert {entry["fold"] for entry in lines(crossed.folder)} == {1, 2, 3}
    assert len(lines(crossed.folder, "validation")) == plain.report.rows["validation"]
    assert plain.report.folds.count == 0
    assert not (plain.folder / "out_of_fold.jsonl").exists()


def test_scores_are_told_as_mean_and_spread(run: Callable[..., Any]) -> None:
    done = run(**FOLDS)
    each = done.report.folds.scores["accuracy"]
    for number, score in enumerate(each, 1):
        own = [entry["target"] == entry["predicted"] for entry in lines(done.folder) if entry["fold"] == number]
        assert score == pytest.approx(np.mean(own))
    told = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))["folds"]
    assert told["mean"]["accuracy"] == statistics.mean(each)
    assert told["deviation"]["accuracy"] == statistics.stdev(each)
    assert "Cross-validation, 3 folds" in str(done.report)
    assert "Cross-validation, 3 folds" in (done.folder / "report.html").read_text(encoding="utf-8")
    assert report.from_json(report.to_json(done.report)) == done.report


def test_a_fold_is_judged_by_a_network_that_never_saw_its_labels(config: Callable[..., Any], tmp_path: Path) -> None:
    """Other labels of the rows of a fold change nothing of what is answered to them; other labels of other rows do."""
    chosen = config(**FOLDS, **{"train.epochs": 1})
    splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), tmp_path / "data")
    learned = learner.build(chosen, splits, tmp_path / "rows", Journal(tmp_path / "log.jsonl", quiet=True))
    accelerator = track.start(learned.config, tmp_path)
    fold_of = folds._assign(learned, 3)

    def answers(name: str, flipped: np.ndarray) -> list[np.ndarray]:
        targets = learned.training.targets
        learned.training.targets = np.where(flipped, 1 - targets, targets)
        journal = Journal(tmp_path / f"{name}.jsonl", quiet=True)
        given = folds._fold(learned, fold_of, 0, folds.Around(tmp_path, tmp_path / name, journal, accelerator, 0.0))
        learned.training.targets = targets
        return [output.tolist() for output in given.outputs]

    as_they_are = answers("as they are", np.zeros(len(fold_of), bool))
    assert answers("own", fold_of == 0) == as_they_are
    assert answers("others", fold_of == 1) != as_they_are


@pytest.mark.parametrize(
    "kind", ["multi-class", "multi-label", "regression", "pairs", "entities", "marked", "questions", "alike"]
)
def test_kinds_of_predictions(run: Callable[..., Any], kind: str) -> None:
    done = run(kind, **FOLDS, **{"train.epochs": 1})
    assert done.report.folds.count == 3
    assert sorted(entry["row"] for entry in lines(done.folder)) == list(range(done.report.rows["train"]))
    parts = report.load_out_of_fold(done.folder, done.report)
    assert [len(part.predictions) for part in parts if part.split == "train"] == [done.report.rows["train"]]


def test_what_writes_has_no_folds(run: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="no folds"):
        run("translations", **FOLDS)


@pytest.mark.slow
def test_a_killed_run_does_not_repeat_finished_folds(parameters: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    given = parameters(**FOLDS, **{"train.checkpoint_every": "0.05s"})
    words = [f"--{name}={value}" for name, value in given.items()]
    whole = children.start(["train", "--out", str(tmp_path / "whole"), *words], tmp_path / "output")
    whole.join()
    assert whole.exitcode == 0, (tmp_path / "output").read_text()
    folder = tmp_path / "run"
    child = children.start(["train", "--out", str(folder), *words], tmp_path / "first")
    second = folder / ".work" / "folds" / "2"
    while child.is_alive() and not any(second.glob("step-*")):
        child.join(0.002)
    child.kill()
    child.join()
    assert (folder / ".work" / "folds" / "1" / "outputs").exists()
    again = children.start(["resume", str(folder)], tmp_path / "second")
    again.join()
    assert again.exitcode == 0, (tmp_path / "second").read_text()
    assert "fold 1 of 3" not in (tmp_path / "second").read_text()
    assert "fold 2 of 3" in (tmp_path / "second").read_text()
    for name in ("out_of_fold.jsonl", "predictions.jsonl"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
