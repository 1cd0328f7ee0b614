"""A whole run, of each kind of labels, and one that must end in time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import small
from tunesmith import predict
from tunesmith.errors import UsageError


@pytest.mark.parametrize("kind", small.KINDS)
def test_every_kind_is_learned_saved_and_reported(run, kind: str) -> None:
    done = run(kind, **{"train.epochs": 6})
    first, last = done.report.curves.training[0].loss, done.report.curves.training[-1].loss
    assert last < first
    assert done.report.split == "test"
    assert {path.name for path in Path(done.folder).iterdir()} >= {
        "bundle.json",
        "config.yaml",
        "report.html",
        "README.md",
    }
    assert not (Path(done.folder) / ".work").exists()
    assert predict.load(done.folder).replay() < 1e-4


def test_it_stops_in_time_with_the_best_weights_and_a_report(run) -> None:
    began = time.monotonic()
    done = run(**{"train.max_time": "12s", "train.epochs": 100000})
    assert time.monotonic() - began < 40
    rates = [point.learning_rate for point in done.report.curves.training]
    assert rates[-1] < 0.2 * max(rates)
    assert done.report.headline.value > 0.5


def test_a_run_folder_is_never_written_over(run) -> None:
    run(out="once")
    with pytest.raises(UsageError, match="not empty"):
        run(out="once")


def test_a_finished_run_is_not_resumed(run) -> None:
    from tunesmith.train import run as runs

    with pytest.raises(UsageError, match="finished"):
        runs.resume(Path(run().folder), quiet=True)
