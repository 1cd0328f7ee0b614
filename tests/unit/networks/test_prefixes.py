"""Attention over a prefix and a text is attention over both, and generation with a prefix is reading with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tiny_generators
from tunesmith.errors import UsageError
from tunesmith.generation import decode
from tunesmith.generation.request import GenerationRequest
from tunesmith.networks import backbones, generators, prefixes
from tunesmith.text import encode as text


@pytest.mark.parametrize("mask", ["none", "bool", "float"])
@pytest.mark.parametrize("causal", [True, False])
def test_the_formula(mask: str, causal: bool) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    module: Any = nn.Module()
    module.prefix = prefixes.Prefix(torch.randn(3, 2, 4), torch.randn(3, 2, 4))
    module.is_causal = causal
    seen = torch.ones(5, 5, dtype=torch.bool).tril() if causal else torch.ones(5, 5, dtype=torch.bool)
    if mask != "none":
        seen = seen & (torch.arange(5) != 3)
    given = {"none": None, "bool": seen[None, None], "float": torch.zeros(5, 5).masked_fill(~seen, -1e9)[None, None]}
    found, _ = prefixes._attention(module, query, key, value, given[mask], scaling=0.5)
    keys, values = (
        torch.cat([own.expand(2, -1, -1, -1), states], 2)
        for own, states in ((module.prefix.keys, key), (module.prefix.values, value))
    )
    allowed = torch.cat([torch.ones(5, 2, dtype=torch.bool), seen], 1)
    weights = (0.5 * query @ keys.transpose(2, 3)).masked_fill(~allowed, -torch.inf).softmax(-1)
    torch.testing.assert_close(found, (weights @ values).transpose(1, 2))


def test_padding_changes_nothing_and_the_prefix_does(model: Callable[..., Path]) -> None:
    for family in ("bert", "gpt2", "t5"):
        backbone = backbones.load(model(family))
        ids = torch.arange(5, 14)[None]
        before = backbone(ids, None)
        torch.manual_seed(0)
        prefixes.insert(backbone, 3)
        found = backbone(ids, None)
        assert not torch.allclose(found, before, atol=1e-3)
        padded = torch.cat([ids, torch.full((1, 4), 2)], 1)
        mask = (torch.arange(13) < 9).long()[None]
        torch.testing.assert_close(backbone(padded, mask)[:, :9], found, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5", "bart"])
def test_what_is_written_is_what_reading_says(tmp_path: Path, kind: tiny_generators.Kind) -> None:
    """Token by token with a cache, and all at once."""
    folder = tiny_generators.write(tmp_path, kind)
    backbone, tokenizer = generators.load(folder), text.load_tokenizer(folder)
    torch.manual_seed(1)
    prefixes.insert(backbone, 3)
    for part in backbone.modules():
        if isinstance(part, prefixes.Prefix):
            nn.init.normal_(part.keys, std=2.0)
            nn.init.normal_(part.values, std=2.0)
    prompts = [[7, 8, 9, 10, 11], [12, 13]]
    found = decode.generate(backbone.model, tokenizer, prompts, GenerationRequest(max_tokens=6))
    for prompt, (answer,) in zip(prompts, found, strict=True):
        written = list(answer.tokens)[:5]  # the last is forced to be an end token in some families
        start = [] if backbone.is_decoder else [backbone.model.config.decoder_start_token_id]
        read = [*prompt, *written] if backbone.is_decoder else [*start, *written]
        extra = {} if backbone.is_decoder else {"decoder_input_ids": torch.tensor([read])}
        with torch.no_grad():
            hidden = backbone(torch.tensor([read if backbone.is_decoder else prompt]), None, **extra)
            best = backbone.logits(hidden).argmax(-1)[0].tolist()
        at = len(prompt) - 1 if backbone.is_decoder else 0
        assert best[at : at + len(written)] == written


def test_an_attention_that_is_computed_otherwise_is_refused(model: Callable[..., Path]) -> None:
    backbone = backbones.load(model("bert"))
    backbone.model.config._attn_implementation = "eager"
    with pytest.raises(UsageError, match="attention of a model of type 'bert' takes no prefix"):
        prefixes.insert(backbone, 3)
