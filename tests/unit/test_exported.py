"""What is told of an exported model, and when it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith import exported
from tunesmith.errors import BundleError

VALUES = {"to": "onnx", "precision": "int8", "drift": 1e-3, "metric": "f1_macro", "scores": {"fp32": 0.9, "int8": 0.9}}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "model.bin").write_bytes(b"1234")
    (tmp_path / "data" / "more.bin").write_bytes(b"5")
    record = exported.write(tmp_path, VALUES)
    assert exported.read(tmp_path) == record
    assert record.size_bytes == 5
    assert set(record.files) == {"model.bin", "data/more.bin"}
    assert str(record) == "onnx, int8: 0.0 MB, golden answers differ by at most 1.0e-03"
    assert "by at most unknown" in str(exported.write(tmp_path, {**VALUES, "drift": None}))


def test_what_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not an exported model"):
        exported.read(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"1234")
    exported.write(tmp_path, VALUES)
    (tmp_path / "model.bin").write_bytes(b"1235")
    with pytest.raises(BundleError, match=r"damaged: model\.bin changed"):
        exported.read(tmp_path)
    (tmp_path / exported.RECORD).write_text("{}")
    with pytest.raises(BundleError, match="does not describe"):
        exported.read(tmp_path)
