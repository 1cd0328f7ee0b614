"""A decoder's forward pass with few operations, for Llama and its kin (Mistral, Qwen, SmolLM ...).

A step of generation computes little for each row, so that what a layer costs is mostly the number of its operations.
Here a block is some twenty of them. The linear layers stay the model's own modules, whatever they have become (of eight
bits, with adapters); norms, rotary positions, attention and their order are ours. Whether it computes what the model does
is found by trying, and a model for which it does not keeps transformers' way.

Shapes: B rows, T columns to be read, S columns of the cache with them, H query heads, K key heads, D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from tunesmith.generation.cache import RowCache
from tunesmith.networks.int8 import Int8Head, Int8Linear

_TRIED_TOKENS = 7
_APART_COLUMNS = 128
"""What it costs to compute a row apart, as columns that it might see."""
_AGREES, _AGREES_ROUGHLY = 1e-3, 0.1
"""Root mean square difference of logits, as a share of their spread; roughly: where numbers are rounded on the way."""

Layer = Callable[[Tensor], Tensor]


_KNOWN: WeakKeyDictionary[Any, tuple[list[int], Lean | None]] = WeakKeyDictionary()


def of(model: Any) -> Lean | None:
    """The lean forward pass of a causal language model; None where there is none that computes the same.

    It is made once for a model, and anew when modules of it have been replaced.
    """
    parts = [id(module) for module in model.modules()]
    known = _KNOWN.get(model)
    if known is None or known[0] != parts:
        known = _KNOWN[model] = (parts, _made(model))
    return known[1]


def _made(model: Any) -> Lean | None:
    try:
        lean = Lean(model)
        return lean if _agrees(lean, model) else None
    except (AttributeError, TypeError, RuntimeError, ValueError):  # of another build
        return None


class _Remembers(Protocol):
    """What keeps keys and values: writes new ones (B, K, T, D) of a layer, and gives all of it, (B, K, S, D)."""

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Write and give."""


@dataclass(frozen=True)
class _Block:
    """A block's parts; ``attend_in`` gives queries, keys and values, ``feed_in`` gate and value of the feed-forward part."""

    norm: tuple[Tensor, float]
    attend_in: _Together
    attend_norms: tuple[tuple[Tensor, float], ...]
    attend_out: Layer
    feed_norm: tuple[Tensor, float]
    feed_in: _Together
    feed_out: Layer


@dataclass(frozen=True)
class _Near:
    """How many columns most rows see, and the rows that see more."""

    columns: int
    far: tuple[int, ...]


class _Together:
    """Linear layers that read the same: those of eight bits are one, unless something hangs on them."""

    def __init__(self, *layers: nn.Module) -> None:
        self._layers = layers
        eight_bit = [layer for layer in layers if isinstance(layer, Int8Linear)]
        self._joined = Int8Linear.joined(eight_bit) if len(eight_bit) == len(layers) else None

    def __call__(self, x: Tensor) -> Tensor:
        """Their outputs side by side."""
        if self._joined is not None and not any(layer._forward_hooks for layer in self._layers):
            found: Tensor = self._joined(x)
            return found
        return torch.cat([layer(x) for layer in self._layers], -1)


class Lean:
    """The forward pass of a Llama-like model.

    Args:
        model: of transformers.

    Raises:
        AttributeError: it is built in another way.
    """

    def __init__(self, model: Any) -> None:
        body, config = model.model, model.config
        if set(getattr(config, "layer_types", None) or ()) - {"full_attention"}:
            raise ValueError("not every layer sees every column")
        self._embed, self._rotate, self._head = body.embed_tokens, body.rotary_emb, model.lm_head
        self._act = body.layers[0].mlp.act_fn
        self._norm = _norm(body.norm)
        self._blocks = [_block(layer) for layer in body.layers]
        attention = body.layers[0].self_attn
        self._heads, self._shared = config.num_attention_heads, config.num_key_value_heads
        self._width, self._scaling = attention.head_dim, attention.scaling

    def __call__(self, tokens: Tensor, positions: Tensor, cache: RowCache, *, all_logits: bool = False) -> Tensor:
        """Read the next tokens (B, T) of every row, whose places are ``positions`` (B, T); see ``Network.feed``.

        Returns:
            Logits (B, 1, V) of what follows the last column; ``all_logits``: (B, T, V).
        """
        bias = _bias(cache, tokens.shape[1], self.dtype).to(tokens.device)
        near = _near(cache) if tokens.shape[1] == 1 and tokens.device.type == "cpu" else None
        return self.run(tokens, positions, bias, cache, all_logits=all_logits, near=near)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of its vectors."""
        weight: Tensor = self._embed.weight
        return weight.dtype

    def run(
        self,
        tokens: Tensor,
        positions: Tensor,
        bias: Tensor,
        cache: _Remembers,
        *,
        all_logits: bool = False,
        near: _Near | None = None,
    ) -> Tensor:
        """The same with ``bias`` (B, 1, T, S), which is added to products, and whatever keeps the keys and values."""
        x = self._embed(tokens)
        turn = self._turn(x, positions)
        for number, block in enumerate(self._blocks):
            x = x + block.attend_out(self._attend(block, _normed(x, block.norm), turn, bias, cache, number, near))
            gate, value = block.feed_in(_normed(x, block.feed_norm)).chunk(2, -1)
            x = x + block.feed_out(self._act(gate) * value)
        logits: Tensor = self._head(_normed(x if all_logits else x[:, -1:], self._norm))
        return logits

    def _turn(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines of the rotary positions, (B, 1, T, D)."""
        cosine, sine = self._rotate(x, positions)
        half = sine.shape[-1] // 2
        return cosine[:, None], torch.cat((-sine[..., :half], sine[..., half:]), -1)[:, None]

    def _attend(
        self,
        block: _Block,
        x: Tensor,
        turn: tuple[Tensor, Tensor],
        bias: Tensor,
        cache: _Remembers,
        number: int,
        near: _Near | None,
    ) -> Tensor:
        """What each column takes from those before it, (B, T, H * D)."""
        rows, columns, _ = x.shape
        query, key, value = self._parts(block, x)
        keys, values = cache.update(_turned(key, turn), value, number)
        query = _turned(query, turn)
        mixed = self._mix(query, keys, values, bias) if near is None else self._apart(query, keys, values, bias, near)
        return mixed.transpose(1, 2).reshape(rows, columns, self._heads * self._width)

    def _parts(self, block: _Block, x: Tensor) -> list[Tensor]:
        """Queries (B, H, T, D), keys and values (B, K, T, D)."""
        rows, columns, _ = x.shape
        sizes = [self._heads, self._shared, self._shared]
        heads = block.attend_in(x).view(rows, columns, sum(sizes), self._width).transpose(1, 2)
        parts = list(torch.split(heads, sizes, 1))
        for place, norm in enumerate(block.attend_norms):
            parts[place] = _normed(parts[place], norm)
        return parts

    def _apart(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, near: _Near) -> Tensor:
        """The same as ``_mix``, the few rows that see far each by itself."""
        seen = slice(-near.columns, None)
        mixed = self._mix(query, keys[:, :, seen], values[:, :, seen], bias[..., seen])
        for row in near.far:
            own = slice(row, row + 1)
            mixed[own] = self._mix(query[own], keys[own], values[own], bias[own])
        return mixed

    def _mix(self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Values (B, H, T, D) weighted by the softmax of products."""
        rows, heads, columns, width = query.shape
        if columns > 1:
            return functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=bias, scale=self._scaling, enable_gqa=True
            )
        query = (query * self._scaling).view(rows, self._shared, heads // self._shared, width)
        weights = (query @ keys.transpose(2, 3)).add_(bias).softmax(-1)
        return (weights @ values).view(rows, heads, 1, width)


def _near(cache: RowCache) -> _Near | None:
    """Which rows see so much further than the others that they are better computed apart; None: none do."""
    lengths = [cache.end - start + 1 for start in cache.starts[cache.rows]]
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    best, best_cost, apart = 0, len(lengths) * max(lengths), 0
    for count, row in enumerate(order[:-1], 1):
        apart += lengths[row] + _APART_COLUMNS
        cost = len(lengths) * lengths[order[count]] + apart
        if cost < best_cost:
            best, best_cost = count, cost
    return _Near(lengths[order[best]], tuple(order[:best])) if best else None


def _block(layer: Any) -> _Block:
    attention, feed = layer.self_attn, layer.mlp
    inside = [_norm(getattr(attention, name)) for name in ("q_norm", "k_norm") if hasattr(attention, name)]
    return _Block(
        _norm(layer.input_layernorm),
        _Together(attention.q_proj, attention.k_proj, attention.v_proj),
        tuple(inside),
        attention.o_proj,
        _norm(layer.post_attention_layernorm),
        _Together(feed.gate_proj, feed.up_proj),
        feed.down_proj,
    )


def _norm(module: Any) -> tuple[Tensor, float]:
    return module.weight, module.variance_epsilon


def _normed(x: Tensor, norm: tuple[Tensor, float]) -> Tensor:
    weight, epsilon = norm
    return functional.rms_norm(x, weight.shape, weight, epsilon)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Vectors (B, heads, T, D) turned by their places: the halves of a head are the two axes."""
    cosine, sine = turn
    flipped = x.view(*x.shape[:-1], 2, x.shape[-1] // 2).flip(-2).flatten(-2)
    return torch.addcmul(x * cosine, flipped, sine)


def _bias(cache: RowCache, columns: int, dtype: torch.dtype) -> Tensor:
    """What is added to products (B, 1, T, S): 0 where a column sees another of its row, the least number elsewhere."""
    seen = cache.mask(columns)[:, None, None, :]
    if columns > 1:
        seen = seen & torch.ones(columns, seen.shape[-1], dtype=torch.bool).tril(seen.shape[-1] - columns)
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)


@torch.no_grad()
def _agrees(lean: Lean, model: Any) -> bool:
    """Whether both give the same logits for a few tokens, read in two pieces."""
    tokens = torch.arange(_TRIED_TOKENS, device=model.device)[None] % model.config.vocab_size
    expected = model(input_ids=tokens, use_cache=False).logits.float()
    cache, found = RowCache([_TRIED_TOKENS]), []
    for piece in (tokens[:, :-1], tokens[:, -1:]):
        cache.reserve(piece.shape[1])
        found.append(lean(piece, cache.positions(piece.shape[1]).to(model.device), cache, all_logits=True).float())
        cache.advance(piece.shape[1])
    exact = model.dtype == torch.float32 and not any(
        isinstance(module, (Int8Linear, Int8Head)) for module in model.modules()
    )
    off = (torch.cat(found, 1) - expected).square().mean().sqrt() / expected.std().clamp_min(1e-6)
    return bool(off < (_AGREES if exact else _AGREES_ROUGHLY))
