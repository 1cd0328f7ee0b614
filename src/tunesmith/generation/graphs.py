"""A decoding step as one CUDA graph: a GPU is handed all its work at once instead of operation by operation.

A graph has fixed shapes and places in memory. So a step here computes every row and column that the cache has room for,
with those not in use masked out, and is captured anew when the cache lays its buffers anew, which is seldom.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.generation.cache import RowCache
from tunesmith.generation.lean import Lean

_WARM_UPS = 2
"""Runs before a capture, in which libraries make their handles and take their memory."""


class Graphs:
    """Decoding steps of a lean model, replayed.

    Args:
        lean: on a GPU.
    """

    def __init__(self, lean: Lean) -> None:
        self._lean = lean
        self._step: FixedStep | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits: Tensor | None = None

    def __call__(self, tokens: Tensor, cache: RowCache) -> Tensor:
        """Read the next token (B, 1) of every row; see ``Lean``: logits (B, 1, V)."""
        if self._step is None or not self._step.fits(cache):
            self._capture(FixedStep(self._lean, cache))
        assert self._step is not None
        assert self._graph is not None
        assert self._logits is not None
        self._step.take(tokens, cache)
        self._graph.replay()
        return self._logits[: len(tokens)].clone()

    def _capture(self, step: FixedStep) -> None:
        self._graph, self._logits = None, None  # what they hold is free for the new one
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                step.run()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._logits = step.run()
        self._step, self._graph = step, graph


class FixedStep:
    """One decoding step whose shapes and places in memory never change, on any device.

    Args:
        lean: the model.
        cache: whose buffers it reads and writes.
    """

    def __init__(self, lean: Lean, cache: RowCache) -> None:
        self._lean = lean
        self._rows, self._columns = cache.room
        self._buffers = [layer.buffers for layer in cache.layers]
        # Of each row its token and the column in which it starts; at last the column to be written. At first nothing is
        # written that a row could see.
        self._given = torch.zeros(2 * self._rows + 1, dtype=torch.long, device=self._buffers[0][0].device)
        self._given[-1] = cache.end

    def fits(self, cache: RowCache) -> bool:
        """Whether the cache's buffers are still those that it reads."""
        return len(cache.layers) == len(self._buffers) and all(
            layer.buffers is mine for layer, mine in zip(cache.layers, self._buffers, strict=True)
        )

    def take(self, tokens: Tensor, cache: RowCache) -> None:
        """Set what the next run reads: tokens (B, 1) on any device."""
        unused = [0] * (self._rows - len(cache.starts))
        given = torch.tensor([*tokens[:, 0].tolist(), *unused, *cache.starts, *unused, cache.end])
        self._given.copy_(given, non_blocking=True)

    def run(self) -> Tensor:
        """Logits (rows that there is room for, 1, V)."""
        tokens, starts, end = torch.split(self._given, [self._rows, self._rows, 1])
        column = torch.arange(self._columns, device=self._given.device)
        seen = (column >= starts[:, None]) & (column <= end)
        least = torch.finfo(self._lean.dtype).min
        bias = torch.zeros(seen.shape, dtype=self._lean.dtype, device=seen.device).masked_fill(~seen, least)
        positions = (end - starts).clamp(min=0)[:, None]
        return self._lean.run(tokens[:, None], positions, bias[:, None, None, :], _FixedCache(self._buffers, end))


class _FixedCache:
    """Writes one column, whose number lies on the device, and shows all columns that there are."""

    def __init__(self, buffers: Sequence[Sequence[Tensor]], column: Tensor) -> None:
        self._buffers, self._column = buffers, column

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        keys, values = self._buffers[layer_idx]
        keys.index_copy_(2, self._column, key_states)
        values.index_copy_(2, self._column, value_states)
        return keys, values
