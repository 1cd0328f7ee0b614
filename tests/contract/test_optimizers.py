"""What every optimizer keeps to: it learns, its state can be saved, and it decays what it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith import plugins
from tunesmith.config import Train
from tunesmith.train import state

RATES = {"sgd": 0.02, "adagrad": 0.2, "adadelta": 10.0, "adafactor": 0.2, "lion": 0.01}
"""Learning rates that suit those which AdamW's would not."""

every_optimizer = pytest.mark.parametrize("name", plugins.names("train.optimizers"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More than one only cost time with weights this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def regression() -> tuple[nn.Sequential, Tensor, Tensor]:
    """A small network and rows that it can learn."""
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 8, generator=random)
    targets = inputs @ torch.randn(8, 3, generator=random)
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3)), inputs, targets


def made(name: str, network: nn.Module, train: Train | None = None, decay: float = 0.0) -> Optimizer:
    """The optimizer over groups as the loop makes them: matrices decay, biases do not."""
    rate = RATES.get(name, 0.03)
    parts = [
        [weight for weight in network.parameters() if weight.ndim > 1],
        [weight for weight in network.parameters() if weight.ndim == 1],
    ]
    groups: list[dict[str, Any]] = [
        {"params": part, "lr": rate, "peak": rate, "weight_decay": share, "inner": True, "position": position}
        for position, (part, share) in enumerate(zip(parts, (decay, 0.0), strict=True))
    ]
    optimizer: Optimizer = plugins.load("train.optimizers", name)(groups, train or Train())
    return optimizer


def learn(network: nn.Module, optimizer: Optimizer, inputs: Tensor, targets: Tensor, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        loss = (network(inputs) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@every_optimizer
def test_it_lowers_the_loss(name: str) -> None:
    network, inputs, targets = regression()
    losses = learn(network, made(name, network), inputs, targets, 60)
    assert losses[-1] < 0.5 * losses[0]


@every_optimizer
def test_its_saved_state_goes_on_to_the_bit(name: str, tmp_path: Any) -> None:
    network, inputs, targets = regression()
    optimizer = made(name, network)
    learn(network, optimizer, inputs, targets, 5)
    weights = {key: weight.detach().clone() for key, weight in network.named_parameters()}
    state.write(optimizer.state_dict(), tmp_path / "state")
    expected = learn(network, optimizer, inputs, targets, 5)

    again = regression()[0]
    again.load_state_dict(weights)
    restored = made(name, again)
    restored.load_state_dict(state.read(tmp_path / "state"))
    assert learn(again, restored, inputs, targets, 5) == expected
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@every_optimizer
def test_weight_decay_shrinks_the_groups_that_decay(name: str) -> None:
    """Against a step without decay, from the same weights with the same gradients."""
    network, inputs, targets = regression()
    before = [weight.detach().clone() for weight in network.parameters()]
    after = []
    for decay in (0.0, 0.5):
        network = regression()[0]
        learn(network, made(name, network, decay=decay), inputs, targets, 1)
        after.append([weight.detach() for weight in network.parameters()])
    for start, free, decayed in zip(before, *after, strict=True):
        if start.ndim == 1:
            assert torch.equal(free, decayed)
        else:
            assert ((decayed - free) * start).sum() < 0


@every_optimizer
def test_the_learning_rate_of_the_group_counts(name: str) -> None:
    network, inputs, targets = regression()
    optimizer = made(name, network)
    before = [weight.detach().clone() for weight in network.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learn(network, optimizer, inputs, targets, 2)
    for weight, old in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old, rtol=0, atol=1e-12)


def test_lion_against_its_formula() -> None:
    """Chen et al. 2023, algorithm 2, written out with numbers."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    group = {"params": [weight], "lr": 0.1, "weight_decay": 0.5}
    optimizer: Optimizer = plugins.load("train.optimizers", "lion")([group], Train(beta1=0.9, beta2=0.99))
    value, average = [1.0, -2.0], [0.0, 0.0]
    for gradient in ([0.3, -4.0], [-0.001, 5.0], [2.0, 0.0]):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        for index, slope in enumerate(gradient):
            direction = 0.9 * average[index] + 0.1 * slope
            value[index] -= 0.1 * ((direction > 0) - (direction < 0) + 0.5 * value[index])
            average[index] = 0.99 * average[index] + 0.01 * slope
        torch.testing.assert_close(weight.detach(), torch.tensor([value]))


def test_lion_caps_beta2_at_its_own_default() -> None:
    weight = nn.Parameter(torch.zeros(1))
    group = {"params": [weight], "lr": 0.1, "weight_decay": 0.0}
    optimizer = plugins.load("train.optimizers", "lion")([group], Train())
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.99)


def test_muon_makes_the_steps_of_matrices_orthogonal() -> None:
    """A matrix inside the network gets a step whose singular values are nearly equal; all else steps as AdamW does."""
    torch.manual_seed(0)
    matrix, bias, head = (nn.Parameter(torch.randn(*shape)) for shape in ((8, 8), (8,), (3, 8)))
    twin = [nn.Parameter(weight.detach().clone()) for weight in (bias, head)]
    common = {"lr": 0.1, "weight_decay": 0.0}
    groups = [
        {"params": [matrix, bias], "inner": True, "position": 0, **common},
        {"params": [head], "inner": False, "position": 1, **common},
    ]
    optimizer: Optimizer = plugins.load("train.optimizers", "muon")(groups, Train())
    before = matrix.detach().clone()
    for weight in (matrix, bias, head):
        weight.grad = torch.randn(weight.shape)
    for weight, source in zip(twin, (bias, head), strict=True):
        assert source.grad is not None
        weight.grad = source.grad.clone()
    optimizer.step()
    values = torch.linalg.svdvals(matrix.detach() - before)
    assert values.min() > 0.4 * values.max()
    assert torch.linalg.svdvals(matrix.grad).min() < 0.1 * torch.linalg.svdvals(matrix.grad).max()
    reference = torch.optim.AdamW(twin, **common, betas=(0.9, 0.999), eps=1e-8)
    reference.step()
    for weight, expected in zip((bias, head), twin, strict=True):
        torch.testing.assert_close(weight.detach(), expected.detach())
