"""Linear layers of eight bits: close to the layer they stand for, each row by itself, joined without a copy."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import generators
from tunesmith.networks import int8
from tunesmith.networks.int8 import Int8Head, Int8Linear


@pytest.fixture
def layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(96, 40)


@pytest.mark.parametrize("rows", [1, 3, 48, 49, 200])
def test_output_is_that_of_the_layer_within_its_rounding(layer: nn.Linear, rows: int) -> None:
    x = torch.randn(rows, 96)
    found, expected = Int8Linear.of(layer.weight, layer.bias)(x), layer(x)
    assert (found.dtype, found.shape) == (x.dtype, expected.shape)
    assert (found - expected).norm() / expected.norm() < 0.015


def test_a_weight_is_off_by_at_most_half_a_unit(layer: nn.Linear) -> None:
    made = Int8Linear.of(layer.weight)
    units = made.scales.float()[:, None]
    assert bool(((made.weight * units - layer.weight).abs() <= units * 0.5001).all())
    assert made.weight.abs().max() <= 127


def test_a_weight_of_zeros_gives_zeros() -> None:
    assert torch.equal(Int8Linear.of(torch.zeros(4, 32))(torch.randn(2, 32)), torch.zeros(2, 4))


def test_a_row_is_the_same_to_the_bit_whatever_else_is_in_the_batch(layer: nn.Linear) -> None:
    made, x = Int8Linear.of(layer.weight, layer.bias), torch.randn(16, 96)
    together = made(x)
    assert all(torch.equal(together[row], made(x[row : row + 1])[0]) for row in range(16))
    x[3] = float("nan")
    broken = made(x)
    others = [0, 1, 2, *range(4, 16)]
    assert torch.equal(broken[others], together[others])
    assert broken[3].isnan().all()


@pytest.mark.parametrize("has_vnni", [True, False])
def test_the_head_loses_little_but_the_rounding_of_its_weight(
    layer: nn.Linear, has_vnni: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_multiplies_bytes", lambda: has_vnni and torch.cpu._is_vnni_supported())
    x = torch.randn(30, 96) * torch.randn(96).exp()
    x[:, 7] *= 100  # a value that leaves the others few levels
    expected = x @ layer.weight.T + layer.bias
    found = Int8Head(layer.weight, layer.bias)(x)
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < 0.012
    units = layer.weight.abs().amax(1, keepdim=True) / 127
    exact = x @ (layer.weight / units).round().mul(units).T + layer.bias
    assert (found - exact).norm() / exact.norm() < 5e-4


def test_rows_of_the_head_are_apart(layer: nn.Linear) -> None:
    head, x = Int8Head(layer.weight, layer.bias), torch.randn(16, 96)
    together = head(x)
    assert all(torch.equal(together[row], head(x[row : row + 1])[0]) for row in range(16))


def test_joined_layers_give_their_outputs_side_by_side_and_share_memory() -> None:
    torch.manual_seed(1)
    parts = [Int8Linear.of(torch.randn(size, 64), torch.randn(size) if size == 8 else None) for size in (8, 24, 16)]
    x = torch.randn(5, 64)
    apart = torch.cat([part(x) for part in parts], -1)
    joined = Int8Linear.joined(parts)
    assert torch.equal(joined(x), apart)
    assert all(part.weight.untyped_storage().data_ptr() == joined.weight.untyped_storage().data_ptr() for part in parts)
    assert torch.equal(torch.cat([part(x) for part in parts], -1), apart)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart", "marian"])
def test_every_linear_layer_of_every_family_is_replaced_and_the_logits_stay_near(tmp_path: Path, family: str) -> None:
    model = generators.make(tmp_path, family).model
    small = copy.deepcopy(model)
    int8.quantise(small)
    assert not any(type(module) is nn.Linear or type(module).__name__ == "Conv1D" for module in small.modules())
    tokens = torch.arange(40, 52)[None]
    given = {"input_ids": tokens} | ({"decoder_input_ids": tokens} if model.config.is_encoder_decoder else {})
    with torch.no_grad():
        expected, found = model(**given).logits, small(**given).logits
    assert (found - expected).square().mean().sqrt() / expected.std() < 0.25
