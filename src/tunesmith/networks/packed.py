"""Linear layers on a CPU that keep their weights as its products read them, instead of putting them in order in every call.

oneDNN multiplies blocks. A weight that lies row by row is put into blocks again for each batch, which for few rows takes longer
than the product; here it is done once for a number format, when that is first needed. Outputs are those of the plain layer, in
bf16 to the last bit, in fp32 up to the order of sums, and a row's are the same to the last bit whatever else is in its batch.
Whoever asks for gradients gets the plain layer.

Shapes: I and O inputs and outputs of a layer.
"""

from __future__ import annotations

import platform
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.networks import orientation

_WORTH = 1 << 14
"""Numbers in a weight from which it is packed; below, the plain product is as quick."""


def runs_here() -> bool:
    """Whether this computer's products are oneDNN's, and nothing quicker is there."""
    has_products: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_products and platform.machine().lower() in ("x86_64", "amd64") and not torch.cuda.is_available()


def pack(model: nn.Module, *, leaves_file: bool) -> None:
    """Have a model's linear layers compute this way from now on, in place, where this computer is one for it.

    Args:
        model: in evaluation mode, on the CPU.
        leaves_file: whether nothing reads the file of weights any more once they are in blocks of fp32: it computes in that
            alone, and no other model has the same weights. What lies in the file beside them is copied then, so that it is let go.
    """
    if not runs_here():
        return
    orientation.turned(model)
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for layer in model.modules():
        if type(layer) is nn.Linear and layer.weight.dtype == torch.float32 and layer.weight.numel() >= _WORTH:
            blocks = Blocks.of(layer.weight, shared=id(layer.weight) in tables)
            del layer.weight
            layer.__class__ = PackedLinear
            layer.blocks = blocks  # type: ignore[assignment]
    for parameter in model.parameters() if leaves_file else ():
        parameter.data = parameter.data.clone()


class Blocks:
    """A weight (O, I) in blocks, one for all layers that it is in, made for a number format when that is first needed.

    Args:
        plain: the weight as it was. It is given up once there are blocks of fp32, from which it can be made again.
        shared: whether it is a table of embeddings too, so that giving it up would save nothing.
    """

    def __init__(self, plain: Tensor, *, shared: bool) -> None:
        self._plain: Tensor | None = plain
        self._shared = shared
        self._packed: dict[torch.dtype, Tensor] = {}

    @classmethod
    def of(cls, weight: Tensor, *, shared: bool) -> Blocks:
        """Those of a weight, which layers of several models may have."""
        known: Any = getattr(weight, "blocks", lambda: None)
        found: Blocks = known() or cls(weight, shared=shared)
        weight.blocks = weakref.ref(found)  # type: ignore[attr-defined]
        return found

    @property
    def plain(self) -> Tensor:
        """The weight row by row, which stays then."""
        plain = self._plain  # which the thread of another model may give up meanwhile
        if plain is None:
            with torch.inference_mode(False), torch.no_grad():
                plain = self._plain = nn.Parameter(self._packed[torch.float32].to_dense(), requires_grad=False)
        return plain

    def packed(self, dtype: torch.dtype) -> Tensor:
        """The weight as products in a number format read it."""
        found = self._packed.get(dtype)
        return self._pack(dtype) if found is None else found

    @torch.inference_mode(False)
    @torch.no_grad()
    def _pack(self, dtype: torch.dtype) -> Tensor:
        found: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.plain.to(dtype).contiguous(), None)
        self._packed[dtype] = found
        if dtype == torch.float32 and not self._shared:
            self._plain = None
        return found


class PackedLinear(nn.Linear):
    """A linear layer with its weight in blocks."""

    blocks: Blocks

    def forward(self, x: Tensor) -> Tensor:
        """(..., O) for (..., I)."""
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if torch.is_grad_enabled() or dtype not in (torch.float32, torch.bfloat16):
            return super().forward(x)
        rows = x.to(dtype).reshape(-1, self.in_features)
        count = len(rows)
        if count < 2:  # a row by itself is summed in another order
            rows = torch.cat([rows, rows.new_zeros(2 - count, self.in_features)])
        bias = None if self.bias is None else self.bias.to(dtype)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows.contiguous(), self.blocks.packed(dtype), bias, "none", [], ""
        )
        return output[:count].view(*x.shape[:-1], self.out_features)

    def __getattr__(self, name: str) -> Any:
        """The weight as it was, for whoever reads it."""
        return self.blocks.plain if name == "weight" else super().__getattr__(name)
