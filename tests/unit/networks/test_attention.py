"""Attention as plain products is the fused one, up to the precision of bf16."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import tiny_generators
from tiny_generators import KINDS, Kind
from tunesmith.networks import attention, generators


def heads(keys: int = 2, length: int = 7, dtype: torch.dtype = torch.bfloat16) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    query = torch.randn(3, 4, length, 8, generator=random)
    key, value = (torch.randn(3, keys, length, 8, generator=random) for _ in range(2))
    return (
        query.to(dtype).requires_grad_(),
        key.to(dtype).requires_grad_(),
        value.to(dtype).requires_grad_(),
    )


def padded() -> Tensor:
    mask = torch.ones(3, 1, 7, 7, dtype=torch.bool)
    mask[1, ..., 4:] = False
    return mask


def fused(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    found: Tensor = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), enable_gqa=key.shape[1] != query.shape[1], **options
    )
    return found.transpose(1, 2)


def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every call of the products."""
    calls: list[int] = []
    own = attention._mix

    def counted(*args: Any) -> Tensor:
        calls.append(1)
        return own(*args)

    monkeypatch.setattr(attention, "_mix", counted)
    return calls


LAYER = SimpleNamespace(is_causal=True, num_key_value_groups=2)
ENCODER = SimpleNamespace(is_causal=False)


@pytest.mark.parametrize("keys", [1, 2, 4])
def test_causal_products_are_the_fused_attention(keys: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = taken(monkeypatch)
    query, key, value = heads(keys)
    found, _ = attention.attend(LAYER, query, key, value, None)
    assert calls
    torch.testing.assert_close(found.float(), fused(query, key, value, is_causal=True), atol=3e-2, rtol=3e-2)


def test_padding_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = taken(monkeypatch)
    query, key, value = heads(4)
    found, _ = attention.attend(ENCODER, query, key, value, padded())
    assert calls
    torch.testing.assert_close(found.float(), fused(query, key, value, attn_mask=padded()), atol=3e-2, rtol=3e-2)
    with torch.no_grad():
        key[1, :, 4:], value[1, :, 4:] = 9.0, 9.0
    again, _ = attention.attend(ENCODER, query, key, value, padded())
    assert torch.equal(found, again)


def test_a_scale_and_biases_of_places_count() -> None:
    query, key, value = heads(4)
    places = torch.randn(1, 4, 7, 7, generator=torch.Generator().manual_seed(1), requires_grad=True)
    found, _ = attention.attend(ENCODER, query, key, value, padded(), scaling=1.0, position_bias=places)
    bias = places.masked_fill(~padded(), -1e9)
    expected = fused(query, key, value, attn_mask=bias, scale=1.0)
    torch.testing.assert_close(found.float(), expected, atol=6e-2, rtol=6e-2)
    (slope,) = torch.autograd.grad(found.float().square().sum(), places)
    (theirs,) = torch.autograd.grad(expected.square().sum(), places)
    torch.testing.assert_close(slope, theirs, atol=0.15, rtol=0.1)
    assert float(slope.abs().max()) > 0.5


def test_the_gradients_are_those_of_the_fused_attention() -> None:
    inputs = heads(2)
    found, _ = attention.attend(LAYER, *inputs, None)
    ours = torch.autograd.grad(found.float().square().sum(), inputs)
    theirs = torch.autograd.grad(fused(*inputs, is_causal=True).square().sum(), inputs)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.float(), other.float(), atol=0.15, rtol=0.1)


@pytest.mark.parametrize("case", ["float32", "no gradient", "long", "dropout", "bent"])
def test_elsewhere_the_fused_attention_is_taken(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = taken(monkeypatch)
    query, key, value = heads(4, dtype=torch.float32 if case == "float32" else torch.bfloat16)
    if case == "no gradient":
        query, key, value = query.detach(), key.detach(), value.detach()
    if case == "long":
        monkeypatch.setattr(attention, "LONGEST", 6)
    options: dict[str, Any] = {"dropout": {"dropout": 0.5}, "bent": {"output_attentions": True}}.get(case, {})
    found, _ = attention.attend(ENCODER, query, key, value, None, **options)
    assert not calls
    assert found.shape == (3, 7, 4, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_models_learn_the_same(tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path / kind, kind))
    ids = torch.randint(5, 100, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask} | ({} if backbone.is_decoder else {"decoder_input_ids": ids})

    def slopes() -> Tensor:
        backbone.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = backbone(**inputs)
        direction = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))
        (hidden.float() * direction)[mask.bool()].sum().backward()
        return torch.cat([weight.grad.flatten() for weight in backbone.parameters() if weight.grad is not None])

    calls = taken(monkeypatch)
    ours = slopes()
    assert bool(calls) is (kind != "gemma2")  # which bends its products
    monkeypatch.setattr(attention, "LONGEST", 0)
    before, theirs = len(calls), slopes()
    assert len(calls) == before
    assert float((ours - theirs).norm()) < 0.05 * float(theirs.norm())
