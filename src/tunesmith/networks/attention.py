"""Attention for training on a CPU: in bf16, plain products are up to twice as fast as PyTorch's fused kernel there.

The fused kernel computes blocks of few rows and repeats the keys and values that several query heads share; a processor
that multiplies bf16 in hardware is quicker with the few large products. Everywhere else (no gradient, other number
formats, long texts, dropout of attention weights, a GPU) transformers' fused attention is taken.

Shapes: B sequences, H query heads, K key heads (H is a multiple of K), T queries, S keys, D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NAME = "tunesmith"
"""What transformers calls it, once it is registered."""

LONGEST = 1024
"""Most keys; the weights of longer texts, which are kept for the backward pass, would take too much memory."""

_SPECIAL = ("softcap", "s_aux", "output_attentions")
"""What few models ask for: bent products, sinks, the weights themselves."""


def register(name: str = NAME, function: Callable[..., Any] | None = None) -> str:
    """Make a function that attends known to transformers, with the masks of its fused attention; None: ``attend``.

    Returns:
        The name that models ask for it by.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(name, function or attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    return name


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **extra: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers' models call it.

    Args:
        module: the layer; it says whether it is causal, where ``is_causal`` does not.
        query: (B, H, T, D).
        key: (B, K, S, D).
        value: (B, K, S, D).
        attention_mask: (B or 1, H or 1, T, S), True or 0 where a query sees a key; None: all, or all before it if causal.
        dropout: of the attention weights.
        scaling: factor of the products; None: ``D ** -0.5``.
        is_causal: whether a query sees only keys up to its own place, where there is no mask.
        extra: what only some models know: ``position_bias`` (B or 1, H, T, S), which is added to the products (T5).

    Returns:
        (B, T, H, D), and no weights.
    """
    from transformers.integrations.sdpa_attention import create_position_bias_mask, sdpa_attention_forward

    if dropout or any(extra.get(name) for name in _SPECIAL) or not _pays(query, key):
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **extra
        )
        return output, None
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    causal = causal and attention_mask is None and query.shape[2] > 1
    if (places := extra.get("position_bias")) is not None:
        attention_mask, causal = create_position_bias_mask(places, attention_mask, causal, query, key), False
    dtype = torch.bfloat16
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    with torch.autocast(query.device.type, enabled=False):
        bias = _bias(attention_mask, query, key, causal)
        mixed = _mix((query * scaling).to(dtype), key.to(dtype), value.to(dtype), bias)
    return mixed.transpose(1, 2).contiguous(), None


def _pays(query: Tensor, key: Tensor) -> bool:
    """Whether the products are faster: with a gradient, in bf16, on a CPU, and with room for their weights."""
    in_bf16 = query.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    return query.device.type == "cpu" and query.requires_grad and in_bf16 and key.shape[2] <= LONGEST


def _bias(mask: Tensor | None, query: Tensor, key: Tensor, causal: bool) -> Tensor | None:
    """What is added to the products, (B or 1, H or 1, T, S): 0 where a query sees a key, the least number elsewhere."""
    if causal:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()[None, None]
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        return mask.to(torch.bfloat16)
    return torch.zeros_like(mask, dtype=torch.bfloat16).masked_fill_(~mask, torch.finfo(torch.bfloat16).min)


def _mix(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Values (B, H, T, D) weighted by the softmax of products; query heads that share a key head are one product."""
    rows, heads, queries, width = query.shape
    shared, keys = key.shape[1], key.shape[2]
    query = query.reshape(rows, shared, heads // shared * queries, width)
    products = (query @ key.transpose(2, 3)).view(rows, heads, queries, keys)
    weights = (products if bias is None else products.add_(bias)).softmax(-1)
    mixed = weights.view(rows, shared, heads // shared * queries, keys) @ value
    return mixed.view(rows, heads, queries, value.shape[-1])
