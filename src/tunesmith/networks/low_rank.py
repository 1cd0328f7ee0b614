"""PEFT's LoRA layers, computed in as few passes over memory as it takes.

The layers, their weights and how they are saved stay PEFT's. Only the forward and backward pass of a plain one are our
own: the update is added to the frozen layer's output in place, the input is kept once in the number format of the
products, and the frozen weight is brought into that format once instead of in every step.

Shapes: N tokens, I and O inputs and outputs of the layer, R rank.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn


def hasten(model: nn.Module) -> None:
    """Have every LoRA layer over a plain linear one compute this way, in place."""
    for module in model.modules():
        if type(module) is Linear and type(module.base_layer) is nn.Linear:
            module.__class__ = LowRankLinear


class LowRankLinear(Linear):  # type: ignore[misc]
    """A LoRA layer; whatever is not the plain case goes PEFT's way."""

    frozen: Tensor | None = None
    """The frozen weight in the number format of autocast; None before it was needed."""
    _version = -1

    def forward(self, x: Tensor, *args: Any, **options: Any) -> Tensor:
        """The layer's output (..., O) for vectors (..., I)."""
        if not self._is_plain() or args or options:
            found: Tensor = super().forward(x, *args, **options)
            return found
        (name,) = self.active_adapters
        below, above = self.lora_A[name].weight, self.lora_B[name].weight
        weight, bias = self.base_layer.weight, self.base_layer.bias
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            weight = self._in_format(weight, dtype)
            x, below, above = _once(x, dtype), below.to(dtype), above.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            output: Tensor = _LowRank.apply(  # type: ignore[no-untyped-call]
                x, weight, bias, below, above, self.scaling[name]
            )
        return output

    def _is_plain(self) -> bool:
        """One active adapter without a variant, bias or dropout, not merged, in training."""
        active = self.active_adapters
        return (
            torch.is_grad_enabled()
            and len(active) == 1
            and active[0] in self.lora_A
            and active[0] not in self.lora_variant
            and not (self.disable_adapters or self.merged or self.fan_in_fan_out or self.lora_bias[active[0]])
            and not (self.training and isinstance(self.lora_dropout[active[0]], nn.Dropout))
            and not self.base_layer.weight.requires_grad
        )

    def _in_format(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        if weight.dtype == dtype:
            return weight
        kept = self.frozen
        if kept is None or (kept.dtype, kept.device, self._version) != (dtype, weight.device, weight._version):
            kept = self.frozen = weight.detach().to(dtype)
            self._version = weight._version
        return kept


def _once(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in another format, made once for all layers that read it, whose gradients are then summed in that format."""
    if x.dtype == dtype:
        return x
    made: Tensor | None = getattr(x, "_in_other_format", None)
    if made is None or made.dtype != dtype:
        made = x.to(dtype)
        x._in_other_format = made  # type: ignore[attr-defined]
    return made


class _LowRank(torch.autograd.Function):
    """``x @ weight.T + bias + scale * (x @ below.T) @ above.T`` with a frozen weight and bias."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, below: Tensor, above: Tensor, scale: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        narrow = flat @ below.T
        output = nn.functional.linear(flat, weight, bias).addmm_(narrow, above.T, alpha=scale)
        ctx.save_for_backward(flat, weight, below, above, narrow)
        ctx.shape, ctx.scale = x.shape, scale
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        flat, weight, below, above, narrow = ctx.saved_tensors
        upstream = upstream.reshape(-1, upstream.shape[-1])
        to_narrow = upstream @ above  # (N, R)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (upstream @ weight).addmm_(to_narrow, below, alpha=ctx.scale).view(ctx.shape)
        return to_x, None, None, ctx.scale * (to_narrow.T @ flat), ctx.scale * (upstream.T @ narrow), None
