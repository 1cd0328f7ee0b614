"""Linear layers of eight bits on a CPU: a quarter of the memory that fp32 moves, and products in integers.

A weight is kept as whole numbers from -127 to 127 with a scale for each output. Every row that comes in is scaled by its
own largest number and rounded ("dynamic quantisation"), and what the rounding left is a second row of whole numbers: some
values of a row are so large that its others would lose too much in one. So the inputs have fifteen bits, and the cost of
reading the weights, which is most of it, stays. No row changes another's numbers, and integer sums do not depend on their
order, so a row gives the same to the last bit whatever else is in the batch.

Shapes: N rows, I and O inputs and outputs of a layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.errors import UsageError

_MOST = 127
"""The largest whole number of a weight."""

_TINY = torch.finfo(torch.float32).tiny


def quantise(model: nn.Module) -> None:
    """Put eight-bit layers in place of a model's linear ones, in place.

    Raises:
        UsageError: this computer has no such products.
    """
    _check(model)
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear:
                setattr(parent, name, Int8Linear.of(layer.weight, layer.bias))
            elif type(layer).__name__ == "Conv1D":  # GPT-2's linear layer, with its weight the other way round
                setattr(parent, name, Int8Linear.of(layer.weight.T, layer.bias))


class Int8Linear(nn.Module):
    """A linear layer with weights of eight bits.

    Args:
        whole: (O, I) int8.
        scales: (O,) what a whole number stands for.
        bias: (O,), or None.
    """

    def __init__(self, whole: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = whole.shape
        self.bias = bias
        self._levels = _MOST if _multiplies_bytes() else _MOST // 2
        self._packed = _packed(whole, scales)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> Int8Linear:
        """The layer of a weight (O, I) in any number format."""
        weight = weight.detach().float()
        scales = weight.abs().amax(1).clamp_min(_TINY) / _MOST
        whole = (weight / scales[:, None]).round_().to(torch.int8)
        return cls(whole, scales, None if bias is None else bias.detach().float())

    @classmethod
    def joined(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """One layer with the outputs of several, side by side."""
        parts = [layer._packed.unpack()[0] for layer in layers]
        whole = torch.cat([part.int_repr() for part in parts])
        scales = torch.cat([part.q_per_channel_scales().float() for part in parts])
        biases = [torch.zeros(layer.out_features) if layer.bias is None else layer.bias for layer in layers]
        return cls(whole, scales, None if all(layer.bias is None for layer in layers) else torch.cat(biases))

    def forward(self, x: Tensor) -> Tensor:
        """(..., O) for (..., I), in the number format of x."""
        levels = float(self._levels)
        rows = x.reshape(-1, self.in_features).float()
        unit = rows.abs().amax(-1, keepdim=True).clamp_min_(_TINY).div_(levels)
        halves = rows.new_empty(2, *rows.shape)
        torch.div(rows, unit, out=halves[0])
        torch.round(halves[0], out=halves[1])
        torch.sub(halves[0], halves[1], out=halves[1]).mul_(2 * levels)
        coarse, fine = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            halves.view(-1, self.in_features), 1.0, self._levels + 1, self._packed
        ).chunk(2)
        output: Tensor = torch.add(coarse, fine, alpha=0.5 / levels).mul_(unit)
        if self.bias is not None:
            output += self.bias
        return output.view(*x.shape[:-1], self.out_features).to(x.dtype)

    def extra_repr(self) -> str:
        """What printing shows of it."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _packed(whole: Tensor, scales: Tensor) -> Any:
    """A weight as FBGEMM's products read it."""
    zeros = torch.zeros(len(whole), dtype=torch.long)
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():  # FBGEMM's products have no other way in yet
        warnings.simplefilter("ignore", UserWarning)
        torch.backends.quantized.engine = "fbgemm"
        try:
            made = torch._make_per_channel_quantized_tensor(whole, scales.double(), zeros, 0)
            return torch.ops.quantized.linear_prepack(made, None)
        finally:
            torch.backends.quantized.engine = before


def _multiplies_bytes() -> bool:
    """Whether sums of two products of bytes cannot overflow (VNNI); elsewhere inputs have seven bits."""
    return bool(torch.cpu._is_vnni_supported())


def _check(model: nn.Module) -> None:
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise UsageError("weights of eight bits are for a CPU")
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        raise UsageError("weights of eight bits need an x86 processor with AVX2")
