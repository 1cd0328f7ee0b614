"""Which engine is taken where none is named."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tunesmith import engine_choice, plugins
from tunesmith.errors import BundleError


def bundle(folder: Path, *names: str) -> Path:
    for name in names:
        place = plugins.load("engines", name).place or "head"
        (folder / place).mkdir(parents=True)
        (folder / place / "model.safetensors").touch()
    return folder


def chosen(folder: Path, name: str | None = None) -> str:
    return engine_choice.engine_of(folder, name).place or "pytorch"


def test_pytorch_comes_first_unless_another_was_faster_here(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "pytorch", "onnx")
    assert engine_choice.openable(folder) == ["pytorch", "int8", "onnx"]
    assert chosen(folder) == "pytorch"
    assert chosen(folder, "onnx") == "onnx"
    engine_choice.record(folder, "onnx")
    assert chosen(folder) == "onnx"
    assert chosen(folder, "pytorch") == "pytorch"


def test_what_was_faster_elsewhere_does_not_count(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "pytorch", "onnx")
    (folder / engine_choice.CHOICES).write_text(json.dumps({"another": "onnx"}))
    assert chosen(folder) == "pytorch"
    engine_choice.record(folder, "onnx")
    assert set(json.loads((folder / engine_choice.CHOICES).read_text())) == {"another", engine_choice.this_machine()}


def test_what_is_not_installed_does_not_count_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bundle(tmp_path, "pytorch", "onnx")
    engine_choice.record(folder, "pytorch")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else found(name, *rest)
    )
    assert chosen(folder) == "onnx"
    assert chosen(folder, "pytorch") == "pytorch"
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert chosen(folder) == "pytorch"


def test_what_is_gone_or_damaged_does_not_count(tmp_path: Path) -> None:
    folder = bundle(tmp_path, "onnx")
    engine_choice.record(folder, "pytorch")
    assert chosen(folder) == "onnx"
    (folder / engine_choice.CHOICES).write_text("{")
    assert engine_choice.recorded(folder) is None
    assert chosen(folder) == "onnx"


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no model that an engine here can open"):
        engine_choice.engine_of(tmp_path)
    with pytest.raises(BundleError, match="it holds none"):
        engine_choice.engine_of(tmp_path, "onnx")
