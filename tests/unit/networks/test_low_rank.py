"""LoRA in few passes gives what PEFT's own layers give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft.tuners.lora import Linear
from torch import Tensor

import tiny_generators
from tunesmith.networks import generators, low_rank
from tunesmith.networks.generators import Generator

IDS = torch.randint(5, 100, (2, 11), generator=torch.Generator().manual_seed(0))


def with_lora(folder: Path, **options: Any) -> Generator:
    """A tiny Llama with LoRA layers that are not zero."""
    backbone = generators.load(tiny_generators.write(folder / "llama", "llama"))
    torch.manual_seed(1)
    peft.get_peft_model(backbone.model, peft.LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", **options))
    with torch.no_grad():
        for name, weight in backbone.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    return backbone.train()


def outcome(backbone: Generator, dtype: torch.dtype | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Vectors, and the slopes of every weight that trains."""
    backbone.zero_grad()
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        hidden = backbone(IDS)
    direction = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))
    (hidden.float() * direction).sum().backward()
    return hidden.detach(), {n: w.grad.clone() for n, w in backbone.named_parameters() if w.grad is not None}


def layers(backbone: Generator) -> list[low_rank.LowRankLinear]:
    return [module for module in backbone.modules() if isinstance(module, low_rank.LowRankLinear)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 1e-5), (torch.bfloat16, 3e-2)])
def test_outputs_and_slopes_are_those_of_peft(tmp_path: Path, dtype: torch.dtype | None, tolerance: float) -> None:
    backbone = with_lora(tmp_path)
    hidden, slopes = outcome(backbone, dtype)
    low_rank.hasten(backbone)
    assert len(layers(backbone)) == 14
    assert all(layer._is_plain() for layer in layers(backbone))
    ours, own = outcome(backbone, dtype)
    torch.testing.assert_close(ours, hidden, atol=tolerance, rtol=tolerance)
    assert own.keys() == slopes.keys()
    assert all("lora_" in name for name in own)
    for name, slope in own.items():
        assert float((slope - slopes[name]).norm()) <= tolerance * float(slopes[name].norm()), name


def test_the_frozen_weight_is_brought_into_the_format_once(tmp_path: Path) -> None:
    backbone = with_lora(tmp_path)
    low_rank.hasten(backbone)
    outcome(backbone, torch.bfloat16)
    first = [layer.frozen for layer in layers(backbone)]
    outcome(backbone, torch.bfloat16)
    assert all(layer.frozen is kept and kept is not None for layer, kept in zip(layers(backbone), first, strict=True))
    assert not any("frozen" in name for name in backbone.state_dict())


@pytest.mark.parametrize("options", [{"lora_dropout": 0.5}, {"use_dora": True}])
def test_other_kinds_go_the_way_of_peft(tmp_path: Path, options: dict[str, Any]) -> None:
    backbone = with_lora(tmp_path, **options)
    hidden, slopes = outcome(backbone)
    low_rank.hasten(backbone)
    ours, own = outcome(backbone)
    assert torch.equal(ours, hidden)
    assert all(torch.equal(own[name], slope) for name, slope in slopes.items())


def test_merged_and_disabled_layers_answer_as_they_should(tmp_path: Path) -> None:
    backbone = with_lora(tmp_path)
    low_rank.hasten(backbone)
    before = outcome(backbone)[0]
    for layer in layers(backbone):
        layer.merge()
    with torch.enable_grad():
        torch.testing.assert_close(backbone(IDS), before, atol=1e-4, rtol=1e-4)
    for layer in layers(backbone):
        layer.unmerge()
        layer.enable_adapters(False)
    assert not torch.allclose(backbone(IDS), before, atol=1e-3)


def test_only_linear_layers_under_lora_are_hastened(tmp_path: Path) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path / "gpt2", "gpt2"))
    config = peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    peft.get_peft_model(backbone.model, config)
    low_rank.hasten(backbone)
    assert not layers(backbone)
    assert any(type(module) is Linear for module in backbone.modules())
