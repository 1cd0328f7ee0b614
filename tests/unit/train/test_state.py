"""Checkpoints come back as they were written, the last two are kept, and a crash leaves a whole one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import small
from tunesmith.errors import TrainingError
from tunesmith.train import state


def test_nested_values_come_back(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    value: dict[str, Any] = {
        "numbers": {1: 0.1 + 0.2, -2: math.inf, 3: None},
        "list": [True, "text", [], {}],
        "tensors": {0: shared, "again": shared, "turned": shared.T, "half": shared.bfloat16(), "empty": torch.zeros(0)},
        "scalar": torch.tensor(3),
        "bytes": torch.arange(4, dtype=torch.uint8),
    }
    state.write(value, tmp_path / "x")
    found = state.read(tmp_path / "x")
    assert found["numbers"] == value["numbers"]
    assert found["list"] == value["list"]
    for name, tensor in value["tensors"].items():
        assert found["tensors"][name].dtype == tensor.dtype
        assert torch.equal(found["tensors"][name], tensor)
    assert torch.equal(found["scalar"], value["scalar"])
    assert torch.equal(found["bytes"], value["bytes"])


def test_a_key_named_like_the_outline_is_no_tensor(tmp_path: Path) -> None:
    state.write({"tensor": "0", "pairs": [1]}, tmp_path / "x")
    assert state.read(tmp_path / "x") == {"tensor": "0", "pairs": [1]}


def test_an_optimizer_goes_on_to_the_bit(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state.write(optimizer.state_dict(), tmp_path / "x")
    again = torch.optim.AdamW(layer.parameters(), lr=0.2)
    again.load_state_dict(state.read(tmp_path / "x"))
    assert again.param_groups[0]["lr"] == 0.1
    for weight in layer.parameters():
        assert optimizer.state[weight].keys() == again.state[weight].keys()
        assert all(torch.equal(value, again.state[weight][name]) for name, value in optimizer.state[weight].items())


def test_nothing_is_pickled(tmp_path: Path) -> None:
    state.write({"a": torch.ones(2)}, tmp_path / "x")
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == ["tensors.safetensors", "values.json"]
    json.loads((tmp_path / "x" / "values.json").read_text())


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (0, 9, 10, 100):
        state.save({"step": step}, tmp_path, step)
    assert [state.read(folder)["step"] for folder in state.steps(tmp_path)] == [10, 100]


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    state.save({"rate": 1.0}, tmp_path, 5)
    state.save({"rate": 0.5}, tmp_path, 5)
    assert [state.read(folder) for folder in state.steps(tmp_path)] == [{"rate": 0.5}]
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


def test_killed_while_writing_the_older_one_is_whole(tmp_path: Path) -> None:
    state.save({"step": 1}, tmp_path, 1)
    half = tmp_path / ".new-step-00000002"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    assert [state.read(folder) for folder in state.steps(tmp_path)] == [{"step": 1}]
    state.save({"step": 2}, tmp_path, 2)
    assert not half.exists()
    assert state.read(state.steps(tmp_path)[-1]) == {"step": 2}


def test_killed_between_taking_away_and_putting_in_place(tmp_path: Path) -> None:
    best = tmp_path / "best"
    state.replace(best, {"score": 1})
    best.rename(tmp_path / ".old-best")
    state.write({"score": 2}, tmp_path / ".new-best")
    assert state.read(best) == {"score": 2}
    state.replace(best, {"score": 3})
    assert state.read(best) == {"score": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_random_numbers_go_on_where_they_were() -> None:
    before = state.random_state()
    drawn = torch.rand(5)
    state.set_random_state(before)
    assert torch.equal(torch.rand(5), drawn)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with small.small_disk(10_000), pytest.raises(TrainingError, match="cannot be written") as error:
        state.save({"weights": torch.zeros(100_000)}, tmp_path, 0)
    assert str(tmp_path) in str(error.value)
    assert not state.steps(tmp_path)
