"""Exports as users make them: where they go, what is refused, and that nothing half-made is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith import bundle as bundles
from tunesmith import exporting, predict
from tunesmith.cli import main
from tunesmith.errors import BundleError, UsageError
from tunesmith.exports import torch_export
from tunesmith.train.run import Run

SHORT = {"train.max_steps": 2, "train.precision": "fp32"}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith((".new", ".old"))]


def test_into_the_bundle_and_into_a_folder_of_its_own(
    run: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("binary", count=80, **SHORT).folder
    out = tmp_path / "alone"
    assert main(["export", str(folder), "--to", "torch-export"]) == 0
    assert "golden answers differ by at most" in capsys.readouterr().out
    assert main(["export", str(folder), "--to", "torch-export", "--out", str(out)]) == 0
    record = json.loads((folder / "torch-export" / "export.json").read_text())
    assert record["drift"] < 1e-4
    assert record["size_bytes"] > (folder / "torch-export" / "model.pt2").stat().st_size
    for place in (folder, out):
        assert predict.load(place, "torch-export").replay() < 1e-5
    assert predict.load(folder).reader.engine.place == ""
    assert predict.load(out).reader.engine.place == "torch-export"
    assert not (out / "head").exists()
    assert hidden(folder) == hidden(tmp_path) == []
    with pytest.raises(BundleError, match=r"no model for the engine pytorch[^$]*torch-export"):
        predict.load(out, "pytorch")
    with pytest.raises(UsageError, match="folder is taken"):
        exporting.export(folder, "torch-export", out)
    exporting.export(folder, "torch-export")  # again, in place of the first
    with (folder / "torch-export" / "model.pt2").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"damaged: model\.pt2"):
        predict.load(folder, "torch-export")


def test_answers_that_are_not_the_networks_are_refused(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run("binary", count=80, **SHORT).folder
    monkeypatch.setattr(torch_export.Export, "tolerance", -1.0)
    with pytest.raises(BundleError, match="differ from the network's"):
        exporting.export(folder, "torch-export", tmp_path / "out")
    with pytest.raises(BundleError, match="differ from the network's"):
        exporting.export(folder, "torch-export")
    assert not (tmp_path / "out").exists()
    assert not (folder / "torch-export").exists()
    assert hidden(folder) == hidden(tmp_path) == []


def test_what_a_form_cannot_hold_is_refused(run: Callable[..., Run], tmp_path: Path) -> None:
    inserted = run("binary", count=80, out="inserted", adapter="bottleneck", **SHORT).folder
    with pytest.raises(UsageError, match="bottleneck adapter is no change"):
        exporting.export(inserted, "onnx")
    writes = run(
        "summaries",
        count=80,
        out="writes",
        **SHORT,
        **{"model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 6},
    ).folder
    with pytest.raises(UsageError, match="writes texts"):
        exporting.export(writes, "onnx")
    with pytest.raises(UsageError, match="bundle of its own"):
        exporting.export(writes, "merged")
    assert not (writes / "onnx").exists()


def test_mistakes_in_the_call_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["export", str(tmp_path), "--to", "onyx"]) == 2
    assert "did you mean 'onnx'?" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--to", "onnx", "--precision", "int4"]) == 2
    assert main(["export", "--help", "--to", "onnx"]) == 0
    assert "--precision" in capsys.readouterr().out
    with pytest.raises(UsageError, match="precision"):
        exporting.made("onnx", {"precision": "int4"})


def test_an_adapter_is_in_the_weights(run: Callable[..., Run]) -> None:
    folder = run("binary", count=80, adapter="lora", **SHORT).folder
    record = exporting.export(folder, "torch-export")
    assert record.drift is not None
    assert record.drift < 1e-5
    assert bundles.open_bundle(folder).base_fingerprint
