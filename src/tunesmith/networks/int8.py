"""Linear layers with weights of eight bits on a CPU: generation mostly waits for weights, and these are a quarter of fp32's.

A weight is kept as whole numbers from -127 to 127 with a scale for each output; inputs are bf16. (Inputs of eight bits
too would be quicker still, but cost a language model about 3 % of perplexity where the weights alone cost 0.3 %.)
The last layer, whose outputs are compared with each other, has inputs of fifteen bits and outputs of fp32 instead.
A row's numbers are the same to the last bit whatever else is in a batch of few rows.

Shapes: N rows, I and O inputs and outputs of a layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunesmith import machine
from tunesmith.errors import UsageError

_MOST = 127
"""The largest whole number of a weight."""

_TINY = torch.finfo(torch.float32).tiny

_FEW_ROWS = 48
"""Up to here the rows are multiplied with the whole numbers; for more, making a weight of floating point first pays."""


def runs_here() -> bool:
    """Whether this computer is one that eight-bit layers are for."""
    return not torch.cuda.is_available()


def quantise(model: nn.Module) -> None:
    """Put eight-bit layers in place of a model's linear ones.

    Raises:
        UsageError: there is a GPU.
    """
    if not runs_here():
        raise UsageError("weights of eight bits are for a CPU, and there is a GPU", hint="take the engine pytorch")
    asked: Any = model
    last = asked.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if layer is last:
                if type(layer) is nn.Linear and _multiplies_whole_numbers():
                    setattr(parent, name, Int8Head(layer.weight, layer.bias))
            elif type(layer) is nn.Linear:
                setattr(parent, name, Int8Linear.of(layer.weight, layer.bias))
            elif type(layer).__name__ == "Conv1D":  # GPT-2's linear layer, with its weight the other way round
                other: Any = layer
                setattr(parent, name, Int8Linear.of(other.weight.T, other.bias))


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
        largest = weight.abs().amax(1).clamp_min(_TINY)
        scales = (largest * (1 + 2**-8) / _MOST).bfloat16()  # rounded, it must not be too small for the largest
        whole = (weight / scales.float()[:, None]).round_().clamp_(-_MOST, _MOST).to(torch.int8).contiguous()
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
        for layer, part in zip(layers, torch.split(made.weight, [layer.out_features for layer in layers]), strict=True):
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


class Int8Head(nn.Module):
    """The layer over a vocabulary, with weights of eight bits and products of whole numbers.

    A row that comes in is scaled by its own largest number and rounded to whole numbers; what the rounding left is scaled
    and rounded once more, as a row of its own, since the largest values of a row are much larger than the others.

    Args:
        weight: (O, I) in any number format.
        bias: (O,), or None.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self._levels = _MOST if _multiplies_bytes() else _MOST // 2
        self._packed = _packed(weight.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """(..., O) in fp32 for (..., I)."""
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
        return output.view(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """What printing shows of it."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def _packed(weight: Tensor) -> Any:
    """A weight (O, I) as FBGEMM's products read it."""
    scales = weight.abs().amax(1).clamp_min(_TINY) / _MOST
    whole = (weight / scales[:, None]).round_().to(torch.int8)
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():  # these products have no other way in yet
        warnings.simplefilter("ignore", UserWarning)
        torch.backends.quantized.engine = "fbgemm"
        try:
            zeros = torch.zeros(len(whole), dtype=torch.long)
            made = torch._make_per_channel_quantized_tensor(whole, scales.double(), zeros, 0)
            return torch.ops.quantized.linear_prepack(made, None)
        finally:
            torch.backends.quantized.engine = before


def _multiplies_whole_numbers() -> bool:
    """Whether FBGEMM is there: on x86 with AVX2."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def _multiplies_bytes() -> bool:
    """Whether sums of two products of bytes cannot overflow (VNNI); elsewhere inputs have seven bits."""
    return bool(torch.cpu._is_vnni_supported())
