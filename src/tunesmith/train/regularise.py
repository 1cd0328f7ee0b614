"""Regularisers that touch weights: mixout and weight averaging."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import parametrize

nothing = nullcontext


class _Mixout(nn.Module):
    """Each use of a weight takes some of its entries from the pretrained weight (Lee et al. 2020, equation 5)."""

    pretrained: Tensor

    def __init__(self, pretrained: Tensor, chance: float) -> None:
        super().__init__()
        self.register_buffer("pretrained", pretrained.detach().clone(), persistent=False)
        self.chance = chance

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight
        drop = torch.rand_like(weight) < self.chance
        return (torch.where(drop, self.pretrained, weight) - self.chance * self.pretrained) / (1 - self.chance)


def mixout(module: nn.Module, chance: float) -> list[nn.Module]:
    """Put mixout on every trainable linear layer of a module; returns the layers, for ``remove_mixout``."""
    layers = [part for part in module.modules() if _is_linear(part) and part.weight.requires_grad] if chance else []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", _Mixout(layer.get_parameter("weight"), chance))
    return list(layers)


def _is_linear(part: nn.Module) -> bool:
    """Whether a layer multiplies by a matrix: GPT-2 and its kin have a class of their own for that, ``Conv1D``."""
    return isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"


def remove_mixout(layers: list[nn.Module]) -> None:
    """Leave the trained weights in plain layers."""
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


class Average:
    """Exponential moving average of the trained weights: average = decay * average + (1 - decay) * weight."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self.weights = {name: weight.detach().clone() for name, weight in _named(network)}

    def update(self) -> None:
        """Follow the weights by one step."""
        with torch.no_grad():
            for name, weight in _named(self._network):
                self.weights[name].lerp_(weight, 1 - self._decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The network has the average's weights inside, its own again afterwards."""
        own = {name: weight.detach().clone() for name, weight in _named(self._network)}
        _copy(self._network, self.weights)
        try:
            yield
        finally:
            _copy(self._network, own)


def no_sync_until(accelerator: Accelerator, network: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
    """Processes exchange gradients only in the last backward pass of a step."""
    context: AbstractContextManager[Any] = nullcontext() if last else accelerator.no_sync(network)
    return context


def _named(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]


def _copy(network: nn.Module, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in _named(network):
            weight.copy_(weights[name])
