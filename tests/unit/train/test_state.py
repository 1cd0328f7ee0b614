"""Checkpoints: what is written comes back, the last two are kept, and a crash in between loses nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from tunesmith.train import state


def nested() -> dict:
    tensors = [torch.randn(3, generator=torch.Generator().manual_seed(0)), torch.arange(4, dtype=torch.uint8)]
    return {
        "step": 3,
        "optimizer": {"state": {0: {"exp_avg": tensors[0]}, 1: {}}, "groups": [{"lr": 1e-4}]},
        "random": tensors[1],
        "none": None,
    }


def test_nested_values_and_number_keys_come_back(tmp_path: Path) -> None:
    state.replace(tmp_path / "one", nested())
    found = state.read(tmp_path / "one")
    assert found["step"] == 3
    assert found["none"] is None
    assert list(found["optimizer"]["state"]) == [0, 1]
    assert found["optimizer"]["groups"] == [{"lr": 1e-4}]
    assert torch.equal(found["optimizer"]["state"][0]["exp_avg"], nested()["optimizer"]["state"][0]["exp_avg"])
    assert found["random"].dtype == torch.uint8


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        state.save({"step": step}, tmp_path, step)
    assert [path.name for path in state.steps(tmp_path)] == ["step-00000002", "step-00000010"]


def test_nothing_is_pickled(tmp_path: Path) -> None:
    state.replace(tmp_path / "one", nested())
    assert {path.suffix for path in (tmp_path / "one").iterdir()} == {".json", ".safetensors"}


def test_killed_between_the_old_and_the_new_the_new_is_read(tmp_path: Path) -> None:
    state.replace(tmp_path / "best", {"step": 1})
    state.replace(tmp_path / "best", {"step": 2})
    (tmp_path / "best").rename(tmp_path / ".new-best")
    assert state.read(tmp_path / "best") == {"step": 2}


def test_random_state_comes_back() -> None:
    torch.manual_seed(1)
    kept = state.random_state()
    first = torch.rand(3)
    state.set_random_state(kept)
    assert torch.equal(torch.rand(3), first)
