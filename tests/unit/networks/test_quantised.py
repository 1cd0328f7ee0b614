"""Four-bit layers are near the ones they replace, or are refused in words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import tiny
from tunesmith.adapters import qlora
from tunesmith.errors import UsageError
from tunesmith.networks import backbones, quantised

IDS = torch.arange(5, 14)[None]


def test_without_the_library_it_is_refused(model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match="qlora needs bitsandbytes") as caught:
        quantised.quantise(backbones.load(model("bert")), "nf4", twice=True)
    assert "tunesmith[qlora]" in str(caught.value)


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_it_is_near_trains_and_comes_back(family: tiny.Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "_WIDTH", 64)
    base = tiny.write_tiny(tmp_path / "base", family)
    before = backbones.load(base)(IDS, None).detach()
    backbone = backbones.load(base)
    adapter = qlora.Adapter(qlora.Params(rank=2))
    adapter.apply(backbone)
    start = backbone(IDS, None)
    assert 0 < (start - before).abs().mean() < 0.3 * before.abs().mean()
    wanted = torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam([weight for weight in backbone.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(3):
        with torch.no_grad():
            backbone.eval()(IDS, None)  # as an evaluation between the steps does
        loss = (backbone.train()(IDS, None) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        trained = backbone.eval()(IDS, None)
    assert (trained - wanted).square().mean() < (start - wanted).square().mean()
    adapter.save(backbone, tmp_path)
    again = backbones.load(base)
    qlora.Adapter(qlora.Params(rank=2)).restore(again, tmp_path)
    with torch.no_grad():
        found = again.eval()(IDS, None)
    torch.testing.assert_close(found, trained, atol=2e-2, rtol=2e-2)  # on a CPU the library computes in bf16
    with pytest.raises(UsageError, match="rounded away"):
        adapter.merge(backbone)


def test_turned_layers_are_refused(model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_library", lambda: None)
    with pytest.raises(UsageError, match="type 'gpt2' has no layers that can be quantised"):
        quantised.quantise(backbones.load(model("gpt2")), "nf4", twice=True)
