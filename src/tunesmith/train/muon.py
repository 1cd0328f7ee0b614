"""Muon for the matrices of the network, AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import AdamW, Muon, Optimizer

if TYPE_CHECKING:
    from tunesmith.config import Train


class MuonWithAdamW(Optimizer):
    """Jordan et al. 2024: momentum made orthogonal by Newton-Schulz steps, for 2-D weights inside the network.

    Embeddings, heads, biases and norms (groups marked ``inner: False``, and anything not 2-D) are stepped by AdamW.
    Muon's learning rate is matched to AdamW's root mean square update, so that one rate serves both.
    """

    def __init__(self, groups: list[dict[str, Any]], train: Train) -> None:
        super().__init__(groups, {})
        matrices = [_part(group, lambda p, g: p.ndim == 2 and g.get("inner", True)) for group in self.param_groups]
        others = [_part(group, lambda p, g: not (p.ndim == 2 and g.get("inner", True))) for group in self.param_groups]
        self.parts: list[Optimizer] = []
        if any(group["params"] for group in matrices):
            self.parts.append(
                Muon(
                    [group for group in matrices if group["params"]],
                    lr=1e-3,
                    momentum=train.momentum,
                    nesterov=True,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if any(group["params"] for group in others):
            others = [group for group in others if group["params"]]
            self.parts.append(AdamW(others, betas=(train.beta1, train.beta2), eps=train.epsilon))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step both parts at the learning rates that the groups have now."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.param_groups[group["position"]]["lr"]
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """State of both parts."""
        return {"parts": [part.state_dict() for part in self.parts], "rates": [g["lr"] for g in self.param_groups]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what ``state_dict`` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        for group, rate in zip(self.param_groups, state_dict["rates"], strict=True):
            group["lr"] = rate


def _part(group: dict[str, Any], belongs: Callable[[torch.Tensor, dict[str, Any]], bool]) -> dict[str, Any]:
    """A copy of a group with the weights that belong, remembering where the group stood."""
    chosen = [weight for weight in group["params"] if belongs(weight, group)]
    return {"params": chosen, "lr": group["lr"], "weight_decay": group["weight_decay"], "position": group["position"]}
