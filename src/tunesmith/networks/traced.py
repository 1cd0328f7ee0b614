"""A network as a graph for other runtimes: what goes in, in which order, and which sizes may differ from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.networks.network import Network

_ROWS, _TOKENS = 3, 7
"""Of the example: 0 and 1 are special to the tracer, and so are equal sizes."""

_MOST_ROWS = 1 << 20


@dataclass(frozen=True)
class Traceable:
    """A network that takes its inputs by place, with an example of them.

    Args:
        module: the network.
        names: of its inputs.
        example: of each.
        sizes: of each, the names of the sizes that may differ, by dimension, as the tracer wants them.
    """

    module: nn.Module
    names: tuple[str, ...]
    example: tuple[Tensor, ...]
    sizes: tuple[tuple[dict[int, Any], ...]]


def traceable(network: Network, read: Sequence[str], max_length: int) -> Traceable:
    """A network ready to be traced, on the CPU.

    Rows of several texts are stacked as ever (see ``network.Inputs``); where the head only puts their vectors side by side,
    the graph gives them one by one instead, and whoever runs it puts them together.

    Args:
        network: reads token ids.
        read: names of what the base model reads beside token ids and mask.
        max_length: most tokens of a text.
    """
    # Fused attention has no counterpart in other runtimes' graphs: it would be taken apart, which fails for some models.
    network.backbone.model.set_attn_implementation("eager")
    beside = [name for name in network.head.reads if name != "parts"]
    names = ("input_ids", "attention_mask", *read, *beside)
    texts = 2 if getattr(network.head, "pair", False) else 1
    rows = torch.export.Dim("rows", min=1, max=_MOST_ROWS)
    tokens = torch.export.Dim("tokens", min=1, max=max(_TOKENS + 1, max_length))
    grid = torch.zeros(texts * _ROWS, _TOKENS, dtype=torch.long)
    full = {"attention_mask": grid + 1}
    example = tuple(full.get(name, grid).clone() for name in names)
    size = {0: texts * rows if texts > 1 else rows, 1: tokens}
    return Traceable(_ByPlace(network.eval(), names), names, example, (tuple(dict(size) for _ in names),))


class _ByPlace(nn.Module):
    """A network whose inputs have places instead of names."""

    def __init__(self, network: Network, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs of the network."""
        outputs: Tensor = self.network(dict(zip(self.names, inputs, strict=True)))
        return outputs
