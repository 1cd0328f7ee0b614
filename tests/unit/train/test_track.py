"""Experiment trackers, run for real: TensorBoard writes events, W&B an offline run; both hold losses and scores."""

from __future__ import annotations

from pathlib import Path

import pytest

import small
from tunesmith.errors import UsageError


def test_tensorboard_holds_losses_and_scores(run) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(**{"track.to": ["tensorboard"]}).folder
    events = next(Path(folder).rglob("events.out.tfevents.*"))
    found = EventAccumulator(str(events.parent))
    found.Reload()
    scalars = found.Tags()["scalars"]
    assert {"loss", "learning_rate", "validation/f1_macro", "test/f1_macro"} <= set(scalars)
    logged = [entry["loss"] for entry in small.log_of(Path(folder), "step")]
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(logged, rel=1e-6)


def test_wandb_offline_keeps_a_run(run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = run(**{"track.to": ["wandb"], "track.project": "mine"}).folder
    kept = list(Path(folder).rglob("run-*.wandb"))
    assert len(kept) == 1
    content = kept[0].read_bytes()
    assert b"loss" in content
    assert b"validation/f1_macro" in content


def test_an_unknown_tracker_is_refused_with_the_nearest_name(run) -> None:
    with pytest.raises(UsageError, match="did you mean 'tensorboard'"):
        run(**{"track.to": ["tensorbord"]})


def test_a_tracker_that_is_not_installed_is_refused(run) -> None:
    with pytest.raises(UsageError, match="pip install"):
        run(**{"track.to": ["aim"]})
