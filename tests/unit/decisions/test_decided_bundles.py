"""What was decided lies in the bundle; requests, evaluation and the report go by it, and golden answers notice its loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import tunesmith as ts
from tunesmith import report
from tunesmith.data.labelled import read_labelled
from tunesmith.errors import BundleError, UsageError
from tunesmith.evaluation import evaluate
from tunesmith.metrics import Predictions
from tunesmith.tasks.base import UNDECIDED

QUICK: dict[str, Any] = {"train.max_steps": 12, "train.evaluate_every": "12 steps"}
DECIDED: dict[str, dict[str, Any]] = {
    "binary": {"task.costs": {"positive": {"negative": 3}}, "task.abstain_accuracy": 0.7},
    "multi-label": {},
    "marked": {"request.threshold": 0.6},
    "tagged": {},
}
Finished = Callable[[str], Path]


@pytest.fixture(scope="module")
def finished(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Gives the folder of a short run of a kind, with decisions."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("decided") / kind
            made[kind] = ts.train(quiet=True, out=str(folder), **parameters(kind, **QUICK, **DECIDED[kind])).folder
        return made[kind]

    return of


@pytest.mark.parametrize("kind", DECIDED)
def test_the_report_tells_what_calibration_changed(finished: Finished, kind: str) -> None:
    told = report.load(finished(kind))
    saved = json.loads((finished(kind) / "bundle.json").read_text())["target"]["decision"]
    assert saved["calibration"]
    assert told.trust is not None
    assert told.trust.before.error != told.trust.after.error
    for text in (str(told), report.card(told), (finished(kind) / "report.html").read_text()):
        assert f"{told.trust.before.error:.4f}" in text
    if kind != "tagged":
        assert told.metrics["expected_calibration_error"] == pytest.approx(told.trust.after.error, abs=1e-9)


@pytest.mark.parametrize("kind", ["binary", "multi-label", "marked"])
def test_what_is_evaluated_is_what_is_answered(
    finished: Finished, table: Callable[..., Path], kind: str, tmp_path: Path
) -> None:
    model = ts.load(finished(kind))
    found = evaluate(model, read_labelled(str(table(kind, 50, 9)), model.bundle.config, model.target, tmp_path))
    assert isinstance(found.predictions, Predictions)
    inputs = [{"text": row["text"]} for row in small.rows(kind, 50, 9)]
    for row, answer in enumerate(model.answers(inputs)):
        given: Any = found.predictions.names(found.predictions.predicted[row])
        if kind == "multi-label":
            assert sorted(answer["labels"]) == sorted(given)
        else:
            sure = kind == "marked" or bool(found.predictions.answered[row])
            assert answer["label"] == (given if sure else "unknown")


def test_costs_and_withheld_answers_are_scored(finished: Finished) -> None:
    told = report.load(finished("binary"))
    assert {"mean_cost", "coverage", "accuracy_answered"} <= told.metrics.keys()
    assert told.decision.costs == ((0, 1), (3, 0))
    assert {"coverage", "mean_cost"} <= told.intervals.keys()
    own = next(part for part in told.coverage if part.threshold == told.decision.abstain_below)
    assert own.share == pytest.approx(told.metrics["coverage"])
    again = report.load_predictions(finished("binary"), told)
    assert isinstance(again, Predictions)
    assert again.decision == told.decision
    assert "withheld" in str(told)


def test_a_threshold_asked_for_is_evaluated_with(parameters: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """What the config asks of every request holds in the report too."""
    run = ts.train(
        quiet=True, out=str(tmp_path / "run"), **parameters("multi-label", **QUICK, **{"request.threshold": 0.9})
    )
    assert {row.threshold for row in run.report.per_label} == {0.9}
    assert len(set(run.model().target.thresholds)) > 1


def test_an_older_bundle_opens_with_nothing_decided(finished: Finished, tmp_path: Path) -> None:
    folder = older(finished("binary"), tmp_path / "old")
    model = ts.load(folder)
    assert model.target.decision == UNDECIDED
    text = "fine film"
    (answer,) = model.answers([text], top_k=2)
    (new,) = ts.load(finished("binary")).answers([text], top_k=2)
    assert [entry["label"] for entry in answer["top"]] == [entry["label"] for entry in new["top"]]
    assert answer["label"] == answer["top"][0]["label"]


def test_golden_answers_notice_a_lost_calibration(finished: Finished, tmp_path: Path) -> None:
    """Where it changed probabilities by more than may be."""
    copied = tmp_path / "copied"
    shutil.copytree(finished("binary"), copied)
    described = json.loads((copied / "bundle.json").read_text())
    assert ts.load(copied).replay() < 0.02
    described["target"]["decision"]["calibration"] = [[8.0, 0.0]]
    (copied / "bundle.json").write_text(json.dumps(described))
    with pytest.raises(BundleError, match="drifted"):
        ts.load(copied).replay()


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("binary", {"task.costs": {"positiv": {"negative": 3}}}, "did you mean 'positive'?"),
        ("triples", {"task.calibrate": "temperature"}, "has no effect on a triples target"),
        ("tagged", {"task.calibrate": "platt"}, "has no effect on a entities target"),
        ("multi-label", {"task.decide_by": "f1_micro", "task.tune_thresholds": False}, "task.tune_thresholds"),
    ],
)
def test_decisions_that_cannot_be_are_refused_before_training(
    parameters: Callable[..., dict[str, Any]], tmp_path: Path, kind: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        ts.train(quiet=True, out=str(tmp_path / "run"), **parameters(kind, **given))
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_repeats_from_its_config(finished: Finished, tmp_path: Path) -> None:
    again = ts.train(str(finished("binary") / "config.yaml"), quiet=True, out=str(tmp_path / "again"))
    assert again.model().target == ts.load(finished("binary")).target
    np.testing.assert_allclose(
        list(again.report.metrics.values()), list(report.load(finished("binary")).metrics.values())
    )


def older(folder: Path, copy: Path) -> Path:
    """A bundle as it was written before there were decisions."""
    shutil.copytree(folder, copy)
    described = json.loads((copy / "bundle.json").read_text())
    described["format"] = 1
    del described["target"]["decision"], described["files"]["config.yaml"]
    (copy / "bundle.json").write_text(json.dumps(described))
    config = (copy / "config.yaml").read_text().splitlines()
    at = config.index("  calibrate: temperature")
    end = next(line for line, text in enumerate(config) if line > at and text.startswith("  kind:"))
    (copy / "config.yaml").write_text("\n".join(config[:at] + config[end:]) + "\n")
    return copy
