"""What this machine is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tunesmith import machine


def test_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert machine.prepare("fp32", 1).threads == torch.get_num_threads() == 1
        assert machine.prepare("fp32").threads == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("text", ["", "0", "many"])
def test_cores_without_a_wish(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    found = machine.cores()
    assert found >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.cores() == found


def test_precision() -> None:
    assert machine.prepare("bf16", 1).dtype == torch.bfloat16
    assert machine.prepare("fp32", 1).dtype == torch.float32
    assert machine.prepare("auto", 1).precision == machine.native_precision(machine.prepare("auto", 1).device)


def test_memory_and_disk(tmp_path: Path) -> None:
    assert 1e7 < machine.peak_memory_bytes() < 1e13
    assert machine.free_disk_bytes(tmp_path / "not" / "yet" / "there") > 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_out_of_memory(error: Exception, expected: bool) -> None:
    assert machine.is_out_of_memory(error) is expected
