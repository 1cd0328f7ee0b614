"""Mixout and weight averages against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tunesmith.train import regularise


def test_mixout_mixes_in_the_pretrained_weight() -> None:
    """Lee et al. 2020, equation 5: each entry is the pretrained one, or is scaled so that the mean stays."""
    torch.manual_seed(0)
    layer = nn.Linear(200, 100)
    pretrained = layer.weight.detach().clone()
    mixed = regularise.mixout(nn.Sequential(layer, nn.LayerNorm(100)), 0.25)
    assert mixed == [layer]
    assert torch.allclose(layer.weight, pretrained, atol=1e-6)  # nothing was learned yet
    with torch.no_grad():
        layer.parametrizations.weight.original.add_(1.0)
    seen = (layer.weight - pretrained).detach()
    assert float((seen.abs() < 1e-5).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert seen[seen.abs() >= 1e-5].mean() == pytest.approx(1 / 0.75, rel=1e-4)
    assert not torch.equal(layer.weight, layer.weight)
    layer.eval()
    assert torch.equal(layer.weight, layer.parametrizations.weight.original)


def test_mixout_leaves_plain_layers_behind() -> None:
    layer = nn.Linear(3, 2)
    module = nn.Sequential(layer)
    layers = regularise.mixout(module, 0.5)
    names = [name for name, _ in module.named_parameters()]
    assert names == ["0.bias", "0.parametrizations.weight.original"]
    regularise.remove_mixout(layers)
    assert sorted(name for name, _ in module.named_parameters()) == ["0.bias", "0.weight"]
    assert type(layer) is nn.Linear


def test_mixout_of_nothing() -> None:
    frozen = nn.Linear(3, 2).requires_grad_(False)
    assert regularise.mixout(frozen, 0.5) == []
    assert regularise.mixout(nn.Linear(3, 2), 0.0) == []


def test_the_average_follows_slowly() -> None:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(layer.weight)
    average = regularise.Average(layer, 0.9)
    nn.init.ones_(layer.weight)
    average.update()
    average.update()
    assert average.weights["weight"][0].tolist() == pytest.approx([0.19, 0.19])
    with average.swapped():
        assert layer.weight[0].tolist() == pytest.approx([0.19, 0.19])
    assert layer.weight.tolist() == [[1.0, 1.0]]


def test_the_own_weights_come_back_after_an_error() -> None:
    layer = nn.Linear(2, 1)
    average = regularise.Average(layer, 0.5)
    nn.init.ones_(layer.weight)
    with pytest.raises(KeyError), average.swapped():
        raise KeyError
    assert layer.weight.tolist() == [[1.0, 1.0]]
