"""The Lion optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Lion(Optimizer):
    """EvoLved Sign Momentum (Chen et al. 2023, algorithm 2).

    Each weight moves by ``lr`` in the direction sign(beta1 * m + (1 - beta1) * g), then m follows g at rate beta2;
    weight decay is decoupled. One average per weight: half of Adam's memory.
    """

    def __init__(
        self, groups: Any, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["average"] = torch.zeros_like(weight)
        average, (beta1, beta2) = state["average"], group["betas"]
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(torch.lerp(gradient, average, beta1).sign_(), alpha=-group["lr"])
        average.lerp_(gradient, 1 - beta2)
