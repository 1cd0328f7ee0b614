"""Runs that are killed, stopped or cut short: what was done is kept, and the end is the same."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import children
import small

OFTEN: dict[str, Any] = {"train.checkpoint_every": "0.05s", "train.evaluate_every": "5 steps"}
KILLS = 10


@pytest.fixture(scope="module")
def words(parameters: Callable[..., dict[str, Any]]) -> list[str]:
    return [f"--{name}={value}" for name, value in parameters(**OFTEN).items()]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def result(folder: Path) -> tuple[Any, ...]:
    steps = [(entry["step"], entry["loss"]) for entry in small.log_of(folder, "step")]
    evaluations = [(entry["step"], entry["scores"]) for entry in small.log_of(folder, "evaluation")]
    return steps, evaluations, small.weights_of(folder), (folder / "predictions.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run that was not disturbed, and the seconds that it took."""
    root = tmp_path_factory.mktemp("whole")
    for name in ("first", "run"):
        began = time.monotonic()
        child = children.start(["train", "--out", str(root / name), *words], root / "output")
        child.join()
        assert child.exitcode == 0, (root / "output").read_text()
    return root / "run", time.monotonic() - began


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_the_same(whole: tuple[Path, float], words: list[str], tmp_path: Path) -> None:
    untouched, seconds = whole
    expected = result(untouched)
    moments, killed = random.Random(7), 0
    for number in range(KILLS):
        folder, output = tmp_path / str(number), tmp_path / f"{number}.txt"
        child = children.start(["train", "--out", str(folder), *words], output)
        wait_for((folder / "config.yaml").exists)
        time.sleep(moments.uniform(0, 0.9) * seconds)
        child.kill()
        child.join()
        if not (folder / "report.json").exists():
            killed += 1
            again = children.start(["resume", str(folder)], output)
            again.join()
            assert again.exitcode == 0, output.read_text()
        assert result(folder) == expected, f"kill {number}"
    assert killed >= KILLS // 2


def test_ctrl_c_leaves_a_run_that_can_go_on(whole: tuple[Path, float], words: list[str], tmp_path: Path) -> None:
    folder, output = tmp_path / "run", tmp_path / "output"
    child = children.start(["train", "--out", str(folder), *words], output)
    log = folder / "log.jsonl"
    wait_for(lambda: log.exists() and '"step": 9,' in log.read_text())
    assert child.pid
    os.kill(child.pid, signal.SIGINT)
    child.join()
    assert child.exitcode == 130, output.read_text()
    said = output.read_text()
    assert f"tunesmith resume {folder}" in said
    assert "Traceback" not in said
    assert not (folder / "report.json").exists()
    again = children.start(["resume", str(folder)], output)
    again.join()
    assert again.exitcode == 0, output.read_text()
    assert result(folder) == result(whole[0])
