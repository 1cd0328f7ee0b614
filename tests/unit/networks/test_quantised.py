"""Four-bit layers are near the ones they replace, or are refused in words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

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
def test_it_is_near_trains_and_comes_back(model: Callable[..., Path], family: str, tmp_path: Path) -> None:
    before = backbones.load(model(family))(IDS, None).detach()
    backbone = backbones.load(model(family))
    adapter = qlora.Adapter(qlora.Params(rank=2))
    adapter.apply(backbone)
    start = backbone(IDS, None)
    assert 0 < (start - before).abs().mean() < 0.3 * before.abs().mean()
    optimizer = torch.optim.Adam([weight for weight in backbone.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(3):
        loss = (backbone(IDS, None) - 1).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = backbone(IDS, None).detach()
    assert (trained - 1).square().mean() < (start - 1).square().mean()
    adapter.save(backbone, tmp_path)
    again = backbones.load(model(family))
    qlora.Adapter(qlora.Params(rank=2)).restore(again, tmp_path)
    torch.testing.assert_close(again(IDS, None).detach(), trained, atol=1e-4, rtol=1e-4)
    with pytest.raises(UsageError, match="rounded away"):
        adapter.merge(backbone)


def test_turned_layers_are_refused(model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_library", lambda: None)
    with pytest.raises(UsageError, match="type 'gpt2' has no layers that can be quantised"):
        quantised.quantise(backbones.load(model("gpt2")), "nf4", twice=True)
