"""Parameter groups, the optimizer over them and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith import plugins
from tunesmith.config import Train
from tunesmith.networks.network import Network


def build(network: Network, train: Train, factor_of: Callable[[str], float] = lambda name: 1.0) -> Optimizer:
    """The chosen optimizer over the network's trainable weights.

    The head has its own learning rate; lower blocks have ``layer_decay`` less than the block above; weight decay
    spares biases and norms (all weights of one dimension).

    Args:
        network: whose weights learn.
        train: the config's section.
        factor_of: what the learning rate of a weight of the base model is multiplied by, by its name in there.
    """
    factors = {id(weight): factor_of(name) for name, weight in network.backbone.named_parameters()}
    groups: list[dict[str, Any]] = []
    for weights, rate, inner in _parts(network, train):
        kinds: dict[tuple[bool, float], list[Tensor]] = {}
        for weight in sorted(weights, key=lambda weight: weight.ndim <= 1):
            kinds.setdefault((weight.ndim > 1, factors.get(id(weight), 1.0)), []).append(weight)
        for (decayed, factor), chosen in kinds.items():
            groups.append(
                {
                    "params": chosen,
                    "lr": rate * factor,
                    "peak": rate * factor,
                    "weight_decay": train.weight_decay if decayed else 0.0,
                    "inner": inner,
                    "position": len(groups),
                }
            )
    optimizer: Optimizer = plugins.load("train.optimizers", train.optimizer)(groups, train)
    return optimizer


def factor(done: float, train: Train) -> float:
    """Factor of the peak learning rate after a share ``done`` (0 to 1) of the training: warmup, then the schedule."""
    done = min(max(done, 0.0), 1.0)
    if done < train.warmup:
        return done / train.warmup
    course = plugins.load("train.schedules", train.schedule)
    return float(course((done - train.warmup) / (1 - train.warmup), train))


def set_rates(optimizer: Optimizer, share_of_peak: float) -> None:
    """Set every group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share_of_peak


def shape_gradients(network: nn.Module, train: Train, step: int) -> None:
    """Add what regularises through the gradient: the L1 norm's slope, and decaying noise.

    The noise has variance ``gradient_noise`` squared / (1 + step)^0.55 (Neelakantan et al. 2015). It follows from the
    seed and the step alone, so that all processes of a run add the same.
    """
    deviation = train.gradient_noise / (1 + step) ** 0.275
    random = torch.Generator().manual_seed(train.seed * 1_000_003 + step)
    for weight in trainable(network):
        if weight.grad is not None and train.l1:
            weight.grad.add_(weight.detach().sign(), alpha=train.l1)
        if weight.grad is not None and deviation:
            noise = torch.randn(weight.shape, generator=random).to(weight)
            weight.grad.add_(noise, alpha=deviation)


def trainable(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights that train."""
    return (weight for weight in network.parameters() if weight.requires_grad)


def _parts(network: Network, train: Train) -> Iterator[tuple[list[Tensor], float, bool]]:
    """(weights, peak learning rate, inside the network?) of the head, each block from the top, and the rest."""
    assert train.learning_rate is not None
    assert train.head_learning_rate is not None
    seen: set[int] = set()

    def fresh(module: nn.Module) -> list[Tensor]:
        found = [weight for weight in trainable(module) if id(weight) not in seen]
        seen.update(id(weight) for weight in found)
        return list(found)

    yield fresh(network.head), train.head_learning_rate, False
    rate = train.learning_rate
    for layer in reversed(list(network.backbone.layers)):
        yield fresh(layer), rate, True
        rate *= train.layer_decay
    yield fresh(network), rate, False
