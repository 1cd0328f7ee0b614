"""Checkpoints: nested values and tensors to a folder and back, atomically, without pickle."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunesmith.errors import TrainingError

_KEPT = 2


def save(value: Any, folder: Path, step: int) -> Path:
    """Write ``folder/step-00000012``; the last two are kept, and a crash leaves the older ones whole."""
    target = folder / f"step-{step:08d}"
    replace(target, value)
    for old in steps(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return target


def replace(target: Path, value: Any) -> None:
    """Write a value to a folder, which appears, or changes, all at once."""
    unfinished, old = target.with_name(f".new-{target.name}"), target.with_name(f".old-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in (unfinished, old):
            shutil.rmtree(leftover, ignore_errors=True)
        write(value, unfinished)
        if target.exists():
            target.rename(old)
        unfinished.rename(target)
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise TrainingError(f"cannot be written: {why}", where=str(target), hint="the run can be resumed") from None
    shutil.rmtree(old, ignore_errors=True)


def steps(folder: Path) -> list[Path]:
    """Whole checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-*"))


def write(value: Any, folder: Path) -> None:
    """Write nested dicts, lists, numbers, text and tensors as ``values.json`` and ``tensors.safetensors``."""
    folder.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    outline = _take_out(value, tensors)
    save_file(tensors, folder / "tensors.safetensors")
    (folder / "values.json").write_text(json.dumps(outline), encoding="utf-8")
    for name in ("tensors.safetensors", "values.json"):
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())


def read(folder: Path) -> Any:
    """What ``replace`` wrote, also if it was killed between taking the old folder away and putting the new one there."""
    unfinished = folder.with_name(f".new-{folder.name}")
    if not folder.exists() and unfinished.exists():
        unfinished.rename(folder)
    outline = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    return _put_back(outline, load_file(folder / "tensors.safetensors"))


def _take_out(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by references; mappings become pairs, since JSON would turn number keys into text."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"pairs": [[key, _take_out(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_take_out(inner, tensors) for inner in value]
    return value


def _put_back(outline: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(outline, dict):
        if "tensor" in outline:
            return tensors[outline["tensor"]]
        return {key: _put_back(inner, tensors) for key, inner in outline["pairs"]}
    if isinstance(outline, list):
        return [_put_back(inner, tensors) for inner in outline]
    return outline


def random_state() -> dict[str, Tensor]:
    """State of the random number generators that training draws from."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """Restore what ``random_state`` gave."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
