"""Linear layers with weights of eight bits on a CPU: generation mostly waits for weights, and these are a quarter of fp32's.

A weight is kept as whole numbers from -127 to 127 with a scale for each output; inputs are bf16. (Inputs of eight bits
too would be quicker still, but cost a language model about 3 % of perplexity where the weights alone cost 0.3 %.)
A row's numbers are the same to the last bit whatever else is in a batch of few rows.

Shapes: N rows, I and O inputs and outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunesmith import machine
from tunesmith.errors import UsageError

_MOST = 127
"""The largest whole number of a weight."""

_FEW_ROWS = 48
"""Up to here the rows are multiplied with the whole numbers; for more, making a weight of floating point first pays."""


def quantise(model: nn.Module) -> None:
    """Put eight-bit layers in place of a model's linear ones.

    Raises:
        UsageError: the model is not on the CPU.
    """
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise UsageError("weights of eight bits are for a CPU", hint="a GPU has bf16")
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
        scales: (O,) bf16, what a whole number stands for.
        bias: (O,), or None.
    """

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, whole: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = whole.shape
        self.register_buffer("weight", whole)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", bias)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> Int8Linear:
        """The layer of a weight (O, I) in any number format."""
        weight = weight.detach().float()
        largest = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny)
        scales = (largest * (1 + 2**-8) / _MOST).bfloat16()  # rounded, it must not be too small for the largest
        whole = (weight / scales.float()[:, None]).round_().clamp_(-_MOST, _MOST).to(torch.int8)
        return cls(whole, scales, None if bias is None else bias.detach().float())

    @classmethod
    def joined(cls, layers: Sequence[Int8Linear]) -> Int8Linear:
        """One layer with the outputs of several, side by side; they become views of its weight."""
        biases = [
            layer.scales.new_zeros(layer.out_features).float() if layer.bias is None else layer.bias for layer in layers
        ]
        made = cls(
            torch.cat([layer.weight for layer in layers]),
            torch.cat([layer.scales for layer in layers]),
            None if all(layer.bias is None for layer in layers) else torch.cat(biases),
        )
        for layer, part in zip(layers, made.weight.split([layer.out_features for layer in layers]), strict=True):
            layer.weight = part
        return made

    def forward(self, x: Tensor) -> Tensor:
        """(..., O) for (..., I), in the number format of x."""
        rows = x.reshape(-1, self.in_features)
        product = self._few(rows) if len(rows) <= _FEW_ROWS else self._many(rows)
        output = product.to(x.dtype)
        if self.bias is not None:
            output = output + self.bias.to(x.dtype)
        return output.view(*x.shape[:-1], self.out_features)

    def _few(self, rows: Tensor) -> Tensor:
        product: Tensor = torch._weight_int8pack_mm(rows.bfloat16().contiguous(), self.weight, self.scales)
        return product

    def _many(self, rows: Tensor) -> Tensor:
        dtype = torch.bfloat16 if machine.native_precision("cpu") == "bf16" else torch.float32
        return functional.linear(rows.to(dtype), self.weight.to(dtype)).float() * self.scales

    def extra_repr(self) -> str:
        """What printing shows of it."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
