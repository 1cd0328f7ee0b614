"""Eight bits: kept where they score as well, refused where they do not, with both scores told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tunesmith
from tunesmith import bundle as bundles
from tunesmith import exporting, predict
from tunesmith.cli import main
from tunesmith.train.run import Run

OPTIONS = ["--to", "onnx", "--precision", "int8"]


def test_eight_bits_are_kept_where_they_score_as_well(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("binary", count=160).folder
    assert main(["export", str(folder), *OPTIONS]) == 0
    told = capsys.readouterr().out
    assert "f1_macro on validation rows: fp32 " in told
    assert "int8 is kept" in told
    model = predict.load(folder, "onnx")
    assert model.replay() < 1e-5
    assert exporting.exported.read(folder / "onnx").precision == "int8"
    graph = (folder / "onnx" / "model.onnx").read_bytes()
    assert b"MatMulInteger" in graph
    assert str(Path(tunesmith.__file__).parent).encode() not in graph  # the exporter would tell where it was made


def test_eight_bits_are_refused_where_they_lose(
    run: Callable[..., Run], table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A huge vector of a token that never comes makes the steps of eight bits so wide that all others become zero."""
    saved = bundles.open_bundle(run("binary", count=160).folder)
    network, adapter = saved.network(), saved.adapter()
    weight = network.backbone.model.get_input_embeddings().weight
    with torch.no_grad():
        weight[saved.tokenizer().mask_token_id] = 1e4
    outlier = tmp_path / "outlier"
    outlier.mkdir()
    bundles.write(outlier, network, saved.tokenizer(), saved.config, saved.target, adapter)
    shutil.copyfile(saved.folder / "golden.jsonl", outlier / "golden.jsonl")
    out = tmp_path / "exported"
    data = str(table("binary", 160, 1))
    assert main(["export", str(outlier), *OPTIONS, "--out", str(out), "--data", data]) == 0
    told = capsys.readouterr().out
    assert f"f1_macro on {data}: fp32 " in told
    assert "int8 loses too much: fp32 is kept" in told
    model = predict.load(out)
    assert model.replay() < 1e-5
    record = exporting.exported.read(out / "onnx")
    assert record.precision == "fp32"
    assert record.scores["fp32"] - record.scores["int8"] > exporting.MOST_LOST
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["onnx"]
