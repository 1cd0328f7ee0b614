"""Keys and values that every attention finds before those of the text (Li and Liang 2021, "Prefix-Tuning").

They are put there where a family's attention calls the function that computes it, past any cache: so they hold in training
as in generation, for encoders as for decoders, and take no positions.

B texts, H heads of keys, P vectors, Q queries, K keys, D size of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.errors import UsageError
from tunesmith.networks import attention, insertions
from tunesmith.networks.backbones import Backbone
from tunesmith.networks.generators import Generator

_NAME, _LISTENING = "tunesmith_with_prefix", "tunesmith_listening"


class Prefix(nn.Module):
    """Keys and values (H, P, D) of one attention."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        # Contiguous, since an optimizer's state out of a checkpoint is, and fused optimizers walk over both as they lie.
        self.keys, self.values = (
            nn.Parameter(states.clone(memory_format=torch.contiguous_format)) for states in (keys, values)
        )


def insert(backbone: Backbone, count: int) -> None:
    """Give every attention of a base model a prefix, which starts as its keys and values of tokens drawn at random.

    Raises:
        UsageError: the model computes its attentions by other means than the function that takes a prefix.
    """
    configs = _configs(backbone)
    if any(config._attn_implementation != attention.NAME for config in configs):
        raise _unknown(backbone)
    found = _keys_and_values(backbone, count, configs)
    if not found:
        raise _unknown(backbone)
    for module, keys, values in found:
        insertions.hang(module, "prefix", Prefix(keys[0], values[0]))
    attention.register(_NAME, _attention)
    for config in configs:
        config._attn_implementation = _NAME


def _unknown(backbone: Backbone) -> UsageError:
    kind = backbone.model.config.model_type
    return UsageError(f"the attention of a model of type '{kind}' takes no prefix", hint="take lora or bottleneck")


def _configs(backbone: Backbone) -> list[Any]:
    """The configs that the modules of a model look at, each once."""
    found = {id(part.config): part.config for part in backbone.model.modules() if hasattr(part, "config")}
    return list(found.values())


def _keys_and_values(backbone: Backbone, count: int, configs: list[Any]) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Each attention with its keys and values (1, H, count, D) of a text of so many tokens drawn from the vocabulary."""
    found: dict[int, tuple[nn.Module, Tensor, Tensor]] = {}

    def listen(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        found[id(module)] = (module, key.detach(), value.detach())
        return attention.attend(module, query, key, value, *args, **kwargs)

    table: Any = backbone.embeddings
    ids = torch.randint(table.num_embeddings, (1, count), device=table.weight.device)
    attention.register(_LISTENING, listen)
    with _implementation(configs, _LISTENING), _evaluating(backbone), torch.no_grad():
        has_two_sides = isinstance(backbone, Generator) and not backbone.is_decoder
        backbone(ids, None, **({"decoder_input_ids": ids} if has_two_sides else {}))
    return list(found.values())


@contextmanager
def _implementation(configs: list[Any], name: str) -> Iterator[None]:
    for config in configs:
        config._attn_implementation = name
    try:
        yield
    finally:
        for config in configs:
            config._attn_implementation = attention.NAME


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> Any:
    """Attention over a prefix and the text."""
    prefix: Any = getattr(module, "prefix", None)
    if prefix is None:
        return attention.attend(module, query, key, value, attention_mask, **options)
    count, causal = prefix.keys.shape[1], options.pop("is_causal", None)
    causal = getattr(module, "is_causal", True) if causal is None else causal
    if attention_mask is None and causal and query.shape[2] > 1:
        queries, keys = query.shape[2], key.shape[2]
        attention_mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()[None, None]
    if attention_mask is not None:
        seen = True if attention_mask.dtype == torch.bool else 0.0
        attention_mask = F.pad(attention_mask, (count, 0), value=seen)
    if options.get("position_bias") is not None:
        options["position_bias"] = F.pad(options["position_bias"], (count, 0))
    key, value = (
        torch.cat([own.to(states).expand(len(states), -1, -1, -1), states], 2)
        for own, states in ((prefix.keys, key), (prefix.values, value))
    )
    return attention.attend(module, query, key, value, attention_mask, is_causal=False, **options)
