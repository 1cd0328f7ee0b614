"""Virtual tokens are read before a text, and are not among what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tunesmith.networks import backbones, virtual_tokens
from tunesmith.networks.virtual_tokens import VirtualTokens


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5"])
def test_vectors_of_real_tokens_are_as_good_as_the_tokens(model: Callable[..., Path], family: str) -> None:
    backbone = backbones.load(model(family))
    first, ids = torch.tensor([[20, 21, 22]]), torch.arange(5, 14)[None].repeat(2, 1)
    table = backbone.embeddings.weight[first[0]]  # type: ignore[union-attr, index]
    both = backbone(torch.cat([first.expand(2, -1), ids], 1), None)
    virtual_tokens.insert(backbone, VirtualTokens(table.detach()))
    torch.testing.assert_close(backbone(ids, None), both[:, 3:], atol=1e-5, rtol=1e-5)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    short = backbone(ids[1:, :6], None)
    torch.testing.assert_close(backbone(ids, mask)[1:, :6], short, atol=1e-5, rtol=1e-5)


def test_an_encoder_makes_them_of_its_table() -> None:
    tokens = VirtualTokens(torch.randn(3, 8), encoder_width=5)
    hidden = torch.relu(tokens.encoder[0](tokens.table))  # type: ignore[index]
    hidden = torch.relu(tokens.encoder[2](hidden))  # type: ignore[index]
    torch.testing.assert_close(tokens(), tokens.encoder[4](hidden))  # type: ignore[index]
