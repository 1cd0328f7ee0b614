"""One run in several processes: the same weights as in one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import children
import small
from tunesmith.errors import UsageError
from tunesmith.train import processes

CALM: dict[str, Any] = {
    "model.dropout": 0.0,
    "model.hidden_dropout": 0.0,
    "train.learning_rate": 1e-4,
    "train.warm_start": False,
    "train.epochs": 2,
    "train.batch_size": 25,  # 128 rows: the last batch of an epoch has 3, and
    "train.micro_tokens": 64,  # a step has several passes
    "train.gradient_noise": 0.01,
}


def train(words: list[str], folder: Path, count: int) -> list[Path]:
    """Train in this many processes; returns what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    same = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    outputs = [folder.with_suffix(f".{rank}.txt") for rank in range(count)]
    started = [
        children.start(words, output, {**same, "RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else None)
        for rank, output in enumerate(outputs)
    ]
    for child, output in zip(started, outputs, strict=True):
        child.join(120)
        if child.exitcode is None:
            child.kill()
        assert child.exitcode == 0, output.read_text()
    return outputs


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(parameters: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    words = ["train", *(f"--{name}={value}" for name, value in parameters(**CALM).items())]
    said = {count: train([*words, f"--out={tmp_path / str(count)}"], tmp_path / str(count), count) for count in (1, 2)}
    one, two = (load_file(tmp_path / str(count) / "model.safetensors") for count in (1, 2))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4
    found = {count: [entry["loss"] for entry in small.log_of(tmp_path / str(count), "step")] for count in (1, 2)}
    assert found[2] == pytest.approx(found[1], abs=1e-5)
    reports = [text.read_text().count("To repeat this run") for text in said[2]]
    assert reports == [1, 0]
    assert not (tmp_path / "2" / ".work").exists()


def test_alone_everything_is_as_it_is() -> None:
    from accelerate import Accelerator

    alone = Accelerator()
    assert processes.largest(alone, True) == 1.0
    assert processes.total(alone, 0.1) == 0.1
    assert processes.of_all(alone, "x") == ["x"]
    assert processes.by_main(lambda: 3) == 3


def test_an_error_of_the_main_process_is_raised() -> None:
    def fail() -> None:
        raise UsageError("no", hint="never")

    with pytest.raises(UsageError, match="never"):
        processes.by_main(fail)
