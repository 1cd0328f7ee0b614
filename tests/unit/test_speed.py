"""Measuring engines: every one that can open the bundle, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith import engine_choice, exporting, predict, speed
from tunesmith.cli import main
from tunesmith.errors import BundleError, DataError, UsageError
from tunesmith.train.run import Run


def test_all_engines_are_measured_and_the_fastest_is_taken(
    run: Callable[..., Run], table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("binary", count=80, **{"train.max_steps": 2}).folder
    exporting.export(folder, "onnx")
    words = ["bench", str(folder), "--seconds", "0.05", "--data", str(table("binary"))]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["engine"] for one in found["speeds"]] == ["pytorch", "int8", "onnx"]
    assert [one["precision"] for one in found["speeds"]] == ["fp32", "int8", "fp32"]
    assert found["inputs"] == 160
    for one in found["speeds"]:
        assert set(one["answers_per_s"]) == {"1", "8", "32"}
        assert 0 < one["p50_ms"] <= one["p95_ms"]
        assert one["tokens_per_s"] == {}
    assert engine_choice.recorded(folder) == found["fastest"] != "int8"
    assert (predict.load(folder).engine.place or "pytorch") == found["fastest"]
    assert main(words) == 0
    assert "the fastest on this machine" in capsys.readouterr().out


def test_one_engine_alone_decides_nothing(run: Callable[..., Run]) -> None:
    folder = run("binary", count=80, **{"train.max_steps": 2}).folder
    found = speed.race(folder, engine="pytorch", seconds=0.05)
    assert [one.engine for one in found.speeds] == ["pytorch"]
    assert found.inputs == len(predict.load(folder).golden_inputs())
    assert engine_choice.recorded(folder) is None
    with pytest.raises(BundleError, match="no model for the engine onnx"):
        speed.race(folder, engine="onnx")


def test_written_tokens_are_counted(run: Callable[..., Run]) -> None:
    folder = run(
        "summaries",
        count=80,
        **{"train.max_steps": 2, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 6},
    ).folder
    found, _ = speed.race(folder, seconds=0.05).speeds
    assert set(found.tokens_per_s) == set(found.answers_per_s)
    assert found.tokens_per_s[1] > found.answers_per_s[1]
    assert "tokens/s" in str(speed.race(folder, seconds=0.05))


def test_a_file_without_rows_is_refused(run: Callable[..., Run], tmp_path: Path) -> None:
    folder = run("binary", count=80, **{"train.max_steps": 2}).folder
    (tmp_path / "empty.csv").write_text("text\n")
    with pytest.raises((UsageError, DataError), match="no rows"):
        speed.race(folder, str(tmp_path / "empty.csv"), seconds=0.05)
