"""Vectors that stand before a text's own as if they were its first tokens, and are gone from what the base model gives.

P vectors, B texts of T tokens, width W.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.networks import insertions
from tunesmith.networks.backbones import Backbone


class VirtualTokens(nn.Module):
    """The vectors (P, W); with an encoder they are its output for a table that trains with it (Liu et al. 2021).

    Args:
        start: (P, W).
        encoder_width: of the encoder's two inner layers; None: the table itself is used (Lester et al. 2021).
    """

    def __init__(self, start: Tensor, encoder_width: int | None = None) -> None:
        super().__init__()
        self.table = nn.Parameter(start.clone())
        width = start.shape[1]
        layers = [nn.Linear(width, encoder_width or 1), nn.ReLU()]
        layers += [nn.Linear(encoder_width or 1, encoder_width or 1), nn.ReLU(), nn.Linear(encoder_width or 1, width)]
        self.encoder = nn.Sequential(*layers) if encoder_width else nn.Identity()

    def forward(self) -> Tensor:
        """The vectors (P, W)."""
        vectors: Tensor = self.encoder(self.table)
        return vectors


def insert(backbone: Backbone, tokens: VirtualTokens) -> None:
    """Let every text that a base model without a head reads have these tokens first."""
    model = backbone.model
    insertions.hang(model, "virtual_tokens", tokens.to(next(model.parameters())), _without)
    model.register_forward_pre_hook(_with, with_kwargs=True)


def sample(backbone: Backbone, count: int) -> Tensor:
    """Embeddings (count, W) of tokens drawn from the vocabulary."""
    table: Any = backbone.embeddings
    drawn: Tensor = table.weight[torch.randint(table.num_embeddings, (count,))].detach()
    return drawn


def _with(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    embedded = model.get_input_embeddings()(kwargs["input_ids"])
    vectors = model.virtual_tokens().to(embedded).expand(len(embedded), -1, -1)
    given = {**kwargs, "input_ids": None, "inputs_embeds": torch.cat([vectors, embedded], 1)}
    for name, value in (("attention_mask", 1), ("token_type_ids", 0)):
        if given.get(name) is not None:
            before = given[name].new_full((len(embedded), vectors.shape[1]), value)
            given[name] = torch.cat([before, given[name]], 1)
    return args, given


def _without(model: Any, args: tuple[Any, ...], output: Any) -> Any:
    output.last_hidden_state = output.last_hidden_state[:, len(model.virtual_tokens.table) :]
    return output
