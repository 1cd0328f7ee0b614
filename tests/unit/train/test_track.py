"""Experiment trackers get what the log gets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith.errors import UsageError
from tunesmith.train import track
from tunesmith.train.run import Run

MakeRun = Callable[..., Run]


def test_unknown_and_missing_trackers_are_told_at_once(config: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        track.start(config(**{"track.to": ["tensorbord", "aim"]}), tmp_path)
    assert "no tracker 'tensorbord'" in str(error.value)
    assert "did you mean 'tensorboard'?" in str(error.value)
    assert "'aim' is not installed" in str(error.value)
    assert "pip install aim" in str(error.value)


def test_without_trackers_there_are_none(config: Callable[..., Any], tmp_path: Path) -> None:
    assert track.start(config(), tmp_path).trackers == []


def test_the_number_format_follows_the_config(config: Callable[..., Any], tmp_path: Path) -> None:
    for precision, mixed in (("bf16", "bf16"), ("fp32", "no"), ("bf16", "bf16")):
        assert track.start(config(**{"train.precision": precision}), tmp_path).mixed_precision == mixed


def test_tensorboard_holds_the_losses(run: MakeRun) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = run(**{"track.to": ["tensorboard"], "track.project": "mine"})
    folders = {file.parent for file in made.folder.rglob("events.out.tfevents.*")}
    found: dict[str, list[tuple[int, float]]] = {}
    for folder in folders:
        events = EventAccumulator(str(folder)).Reload()
        for name in events.Tags()["scalars"]:
            found[name] = [(event.step, event.value) for event in events.Scalars(name)]
    logged = [(entry["step"], pytest.approx(entry["loss"], rel=1e-6)) for entry in small.log_of(made.folder, "step")]
    assert found["loss"] == logged
    assert len(found["validation/f1_macro"]) == len(list(small.log_of(made.folder, "evaluation")))
    assert found["test/f1_weighted"][0][1] == pytest.approx(made.report.metrics["f1_weighted"], rel=1e-6)


def records(file: Path) -> Iterator[bytes]:
    """Contents of the records of a W&B file: LevelDB's log format, in blocks of 32 KiB, after a header of 7 bytes."""
    content, position, whole = file.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, part = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        whole += content[position + 7 : position + 7 + length]
        position += 7 + length
        if part in (1, 4):  # the record is whole
            yield whole
            whole = b""


@pytest.mark.slow
def test_wandb_offline_holds_the_losses(run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    made = run(**{"track.to": ["wandb"], "track.project": "mine"})
    (file,) = made.folder.rglob("run-*.wandb")
    found: dict[str, list[float]] = {}
    settings = {}
    for content in records(file):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        for item in record.history.item:
            found.setdefault(item.key or "/".join(item.nested_key), []).append(json.loads(item.value_json))
        for item in (*record.run.config.update, *record.config.update):
            settings[item.key] = json.loads(item.value_json)
    assert found["loss"] == pytest.approx([entry["loss"] for entry in small.log_of(made.folder, "step")])
    assert found["test/f1_weighted"] == pytest.approx([made.report.metrics["f1_weighted"]])
    assert len(found["validation/f1_macro"]) == len(list(small.log_of(made.folder, "evaluation")))
    assert settings["train.batch_size"] == 16
