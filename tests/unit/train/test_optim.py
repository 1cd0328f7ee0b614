"""Which weights learn how fast, and what is added to their gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny import Family
from tunesmith.config import Train
from tunesmith.heads import TextHead
from tunesmith.networks import backbones
from tunesmith.networks.network import Network
from tunesmith.train import optim

Make = Callable[..., tuple[Network, Train]]


@pytest.fixture
def make(model: Callable[[Family], Path]) -> Make:
    def network(family: Family = "bert", **options: Any) -> tuple[Network, Train]:
        torch.manual_seed(0)
        backbone = backbones.load(model(family))
        head = TextHead(backbone.width, 3, pooling="mean", dropout=0.0)
        return Network(backbone, head), Train(**{"learning_rate": 1e-3, "head_learning_rate": 1e-2, **options})

    return network


def rates(network: Network, train: Train) -> dict[str, tuple[float, float]]:
    """(peak learning rate, weight decay) of each weight by name."""
    names = {id(weight): name for name, weight in network.named_parameters()}
    groups = optim.build(network, train).param_groups
    found = [
        (names[id(weight)], (group["peak"], group["weight_decay"])) for group in groups for weight in group["params"]
    ]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5"])
def test_every_weight_is_in_one_group(make: Make, family: Family) -> None:
    network, train = make(family, layer_decay=0.5)
    assert rates(network, train).keys() == {name for name, _ in network.named_parameters()}


def test_frozen_weights_are_in_none(make: Make) -> None:
    network, train = make()
    network.backbone.requires_grad_(False)
    assert rates(network, train).keys() == {"head.linear.weight", "head.linear.bias"}


def test_the_head_layers_and_embeddings_have_their_rates(make: Make) -> None:
    found = rates(*make(layer_decay=0.5, weight_decay=0.1))
    below = "backbone.model.encoder.layer"
    assert found["head.linear.weight"] == (1e-2, 0.1)
    assert found["head.linear.bias"] == (1e-2, 0.0)
    assert found[f"{below}.1.attention.self.query.weight"] == (1e-3, 0.1)
    assert found[f"{below}.0.attention.self.query.weight"] == (5e-4, 0.1)
    assert found[f"{below}.0.output.LayerNorm.weight"] == (5e-4, 0.0)
    assert found["backbone.model.embeddings.word_embeddings.weight"] == (2.5e-4, 0.1)


def test_set_rates_is_a_share_of_each_peak(make: Make) -> None:
    optimizer = optim.build(*make())
    optim.set_rates(optimizer, 0.25)
    assert {group["lr"] for group in optimizer.param_groups} == {2.5e-4, 2.5e-3}


def test_the_warmup_rises_and_the_schedule_follows() -> None:
    train = Train(warmup=0.2, schedule="linear")
    assert [optim.factor(done, train) for done in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert optim.factor(-1, train) == 0.0
    assert optim.factor(2, train) == 0.0
    assert optim.factor(0.0, Train(warmup=0.0)) == 1.0


def with_gradient(network: Network, value: float) -> list[torch.Tensor]:
    weights = list(optim.trainable(network))
    for weight in weights:
        weight.grad = torch.full_like(weight, value)
    return weights


def test_l1_pulls_every_weight_towards_zero(make: Make) -> None:
    network, train = make(l1=0.25)
    for weight in with_gradient(network, 1.0):
        assert weight.grad is not None
    optim.shape_gradients(network, train, 0)
    for weight in optim.trainable(network):
        assert weight.grad is not None
        assert torch.equal(weight.grad, 1.0 + 0.25 * weight.detach().sign())


def test_gradient_noise_decays_and_follows_from_seed_and_step(make: Make) -> None:
    network, train = make(gradient_noise=0.5)

    def noise(step: int, train: Train = train) -> torch.Tensor:
        weights = with_gradient(network, 0.0)
        optim.shape_gradients(network, train, step)
        return torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])

    first, later = noise(0), noise(99)
    assert float(first.std()) == pytest.approx(0.5, rel=0.05)
    assert float(later.std()) == pytest.approx(0.5 / 100**0.275, rel=0.05)
    torch.rand(7)
    assert torch.equal(noise(0), first)
    assert not torch.equal(noise(0, train.but(seed=1)), first)


def test_without_them_gradients_stay(make: Make) -> None:
    network, train = make()
    weights = with_gradient(network, 1.0)
    optim.shape_gradients(network, train, 0)
    assert all(weight.grad is not None and (weight.grad == 1).all() for weight in weights)
