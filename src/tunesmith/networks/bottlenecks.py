"""Bottlenecks in the blocks of a base model: x + up(f(down(x))), which starts as x.

Where they go after Houlsby et al. 2019 ("Parameter-Efficient Transfer Learning for NLP"): on the output of each sublayer,
attention and feed-forward, before it is added to what the sublayer was given. After Pfeiffer et al. 2020 ("AdapterFusion"):
one a block, after the feed-forward sublayer's addition and norm. Blocks that norm what goes into their sublayers have no
norm there; it is then on the feed-forward sublayer's output, as Houlsby's second one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.errors import UsageError
from tunesmith.networks import insertions
from tunesmith.networks.backbones import Backbone

Placement = Literal["houlsby", "pfeiffer"]

_ATTENTIONS = (
    *("attention.output.dense", "attention.out_lin", "attention.attn.o", "attention.dense", "attn.c_proj", "attn.Wo"),
    *("attn.attention.out_proj", "self_attn.o_proj", "self_attn.out_proj", "self_attn.dense", "SelfAttention.o"),
)
"""Last layers of the sublayers over a text itself, by their names in a block, whatever the family calls the rest."""
_CROSS_ATTENTIONS = (
    "encoder_attn.out_proj",
    "EncDecAttention.o",
    "crossattention.output.dense",
    "crossattention.c_proj",
)
_FEED_FORWARDS = (
    *("output.dense", "ffn.lin2", "mlp.c_proj", "mlp.down_proj", "mlp.Wo", "mlp.fc2", "mlp.dense_4h_to_h", "fc2"),
    *("DenseReluDense.wo",),
)
_NORMS_AFTER = {"output.LayerNorm": None, "output_layer_norm": None, "final_layer_norm": ("bart", "marian")}
"""Norms over the sum of the feed-forward sublayer's output and its input, and the only types that use the name for that."""

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu, "silu": F.silu, "tanh": torch.tanh}


class Bottleneck(nn.Module):
    """``x + up(f(down(x)))`` of vectors (..., width); ``up`` starts as zero.

    Args:
        width: of the vectors.
        size: of the bottleneck.
        function: name of f.
        dropout: of what the bottleneck adds.
    """

    def __init__(self, width: int, size: int, function: str, dropout: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        self.function, self.dropout = function, dropout
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Vectors of the shape of ``x``."""
        added: Tensor = self.up(FUNCTIONS[self.function](self.down(x)))
        return x + F.dropout(added, self.dropout, self.training)


def insert(backbone: Backbone, placement: Placement, size: int, function: str, dropout: float) -> None:
    """Put bottlenecks into every block.

    Raises:
        UsageError: the blocks are of a kind whose sublayers are not known.
    """
    for block in backbone.layers:
        found = places(block, placement, backbone.model.config.model_type)
        if not found:
            kind = backbone.model.config.model_type
            hint = "take lora, which goes into every linear layer"
            raise UsageError(f"where bottlenecks go in a model of type '{kind}' is not known", hint=hint)
        for module in found:
            part = Bottleneck(backbone.width, size, function, dropout).to(next(module.parameters()))
            insertions.hang(module, "bottleneck", part, _through)


def places(block: nn.Module, placement: Placement, kind: str) -> list[nn.Module]:
    """The modules of a block on whose outputs bottlenecks go, as the block runs them; none: the block is not known.

    Args:
        block: of a base model.
        placement: whose.
        kind: transformers' name of the type of model.
    """
    modules = dict(block.named_modules())
    attentions, cross = _ends(modules, _ATTENTIONS), _ends(modules, _CROSS_ATTENTIONS)
    outputs = [modules[name] for name in modules if _is(name, _FEED_FORWARDS) and "ttention" not in name]
    if len(attentions) != 1 or len(outputs) != 1:
        return []
    if placement == "houlsby":
        return [*attentions, *cross, *outputs]
    norms = [modules[name] for name, only in _NORMS_AFTER.items() if name in modules and (not only or kind in only)]
    return norms or outputs


def norms(backbone: Backbone) -> Iterable[nn.Module]:
    """The norms of all blocks."""
    return (part for block in backbone.layers for part in block.modules() if type(part).__name__.endswith("Norm"))


def _ends(modules: dict[str, nn.Module], names: tuple[str, ...]) -> list[nn.Module]:
    return [module for name, module in modules.items() if _is(name, names)]


def _is(name: str, names: tuple[str, ...]) -> bool:
    """Whether a module's name in its block is one of these, or ends in one at a dot."""
    return any(f".{name}".endswith(f".{one}") for one in names)


def _through(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    found: Tensor = module.get_submodule("bottleneck")(output)
    return found
