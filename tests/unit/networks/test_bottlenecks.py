"""Bottlenecks go where the papers put them, in every family, and do what their formula says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tiny_generators
from tunesmith.errors import UsageError
from tunesmith.networks import backbones, bottlenecks, generators
from tunesmith.networks.bottlenecks import Bottleneck

IDS = torch.arange(5, 14)[None]


def test_the_formula() -> None:
    torch.manual_seed(0)
    part = Bottleneck(8, 3, "silu", 0.0)
    x = torch.randn(2, 5, 8)
    assert torch.equal(part(x), x)
    nn.init.normal_(part.up.weight)
    nn.init.normal_(part.up.bias)
    torch.testing.assert_close(part(x), x + part.up(F.silu(part.down(x))))
    dropping = Bottleneck(8, 3, "relu", 0.9)
    nn.init.ones_(dropping.up.bias)
    assert (dropping.train()(x) - x == 0).float().mean() > 0.5
    assert not torch.equal(dropping.eval()(x), x)


@pytest.mark.parametrize(
    ("family", "houlsby", "pfeiffer"),
    [
        ("bert", ["attention.output.dense", "output.dense"], "output.LayerNorm"),
        ("roberta", ["attention.output.dense", "output.dense"], "output.LayerNorm"),
        ("gpt2", ["attn.c_proj", "mlp.c_proj"], "mlp.c_proj"),
        ("llama", ["self_attn.o_proj", "mlp.down_proj"], "mlp.down_proj"),
        ("t5", ["layer.0.SelfAttention.o", "layer.1.DenseReluDense.wo"], "layer.1.DenseReluDense.wo"),
    ],
)
def test_the_places(model: Callable[..., Path], family: str, houlsby: list[str], pfeiffer: str) -> None:
    for placement, expected in (("houlsby", houlsby), ("pfeiffer", [pfeiffer])):
        backbone = backbones.load(model(family))
        before = backbone(IDS, None)
        bottlenecks.insert(backbone, placement, 4, "gelu", 0.0)  # type: ignore[arg-type]
        assert torch.equal(backbone(IDS, None), before)
        for block in backbone.layers:
            found = [
                name.removesuffix(".bottleneck") for name, part in block.named_modules() if type(part) is Bottleneck
            ]
            assert found == expected
        for part in backbone.modules():
            if type(part) is Bottleneck:
                nn.init.normal_(part.up.weight)
        assert not torch.allclose(backbone(IDS, None), before, atol=1e-2)


@pytest.mark.parametrize(
    ("kind", "encoder", "decoder", "pfeiffer"),
    [
        (
            "bart",
            ["self_attn.out_proj", "fc2"],
            ["self_attn.out_proj", "encoder_attn.out_proj", "fc2"],
            "final_layer_norm",
        ),
        (
            "t5",
            ["layer.0.SelfAttention.o", "layer.1.DenseReluDense.wo"],
            ["layer.0.SelfAttention.o", "layer.1.EncDecAttention.o", "layer.2.DenseReluDense.wo"],
            None,
        ),
    ],
)
def test_both_sides_of_models_that_write(
    tmp_path: Path, kind: tiny_generators.Kind, encoder: list[str], decoder: list[str], pfeiffer: str | None
) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path, kind))
    for number, block in enumerate(backbone.layers):
        modules = {id(part): name for name, part in block.named_modules()}
        names = [modules[id(part)] for part in bottlenecks.places(block, "houlsby", kind)]
        assert sorted(names) == sorted(encoder if number < 2 else decoder)
        (last,) = bottlenecks.places(block, "pfeiffer", kind)
        assert modules[id(last)] == (pfeiffer or names[-1])


def test_a_copy_has_bottlenecks_of_its_own(model: Callable[..., Path]) -> None:
    backbone = backbones.load(model("bert"))
    bottlenecks.insert(backbone, "houlsby", 4, "gelu", 0.0)
    before = backbone(IDS, None)
    other = copy.deepcopy(backbone)
    for part in other.modules():
        if type(part) is Bottleneck:
            nn.init.normal_(part.up.weight)
    assert torch.equal(backbone(IDS, None), before)
    assert not torch.allclose(other(IDS, None), before, atol=1e-2)


def test_blocks_that_are_not_known_are_refused(model: Callable[..., Path]) -> None:
    backbone = backbones.load(model("bert"))
    for block in backbone.layers:
        block.attention.output.wide = block.attention.output.dense  # type: ignore[union-attr]
        del block.attention.output.dense  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="where bottlenecks go in a model of type 'bert' is not known"):
        bottlenecks.insert(backbone, "houlsby", 4, "gelu", 0.0)
