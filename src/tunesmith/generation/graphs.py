"""A decoding step as one CUDA graph: a GPU is handed all its work at once instead of operation by operation.

A graph has fixed shapes and places in memory. So a step here computes every row and column that the cache has room for,
with those not in use masked out, and is captured anew when the cache lays its buffers anew, which is seldom.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tunesmith.generation.cache import RowCache
from tunesmith.generation.lean import Lean
from tunesmith.generation.lora import Lora
from tunesmith.generation.updates import Stack, Updates

_MOST = 4
"""Graphs that are kept: rows with other adapters come and go."""
_WARM_UPS = 2
"""Runs before a capture, in which libraries make their handles and take their memory."""


@dataclass(frozen=True)
class _Captured:
    step: FixedStep
    graph: torch.cuda.CUDAGraph
    logits: Tensor


class Graphs:
    """Decoding steps of a lean model, replayed; for each stack of low-rank updates that rows use there is a graph of its own.

    Args:
        lean: on a GPU.
        updates: that its rows may have.
    """

    def __init__(self, lean: Lean, updates: Updates) -> None:
        self._lean, self._updates = lean, updates
        self._captured: dict[Stack | None, _Captured] = {}

    def __call__(self, tokens: Tensor, cache: RowCache, loras: Sequence[Lora | None]) -> Tensor:
        """Read the next token (B, 1) of every row, each with its update; see ``Lean``: logits (B, 1, V)."""
        stack, owners = self._updates.placed(loras)
        one = self._captured.pop(stack, None)
        if one is None or not one.step.fits(cache):
            one = None  # what it holds is free for the new one
            self._let_go(cache)
            one = _capture(FixedStep(self._lean, cache, self._updates, stack))
        self._captured[stack] = one  # the last one is the one that was used last
        one.step.take(tokens, cache, owners)
        one.graph.replay()
        return one.logits[: len(tokens)].clone()

    def _let_go(self, cache: RowCache) -> None:
        """Keep the graphs that were used last, as long as they read the cache that there is."""
        fitting = [(stack, one) for stack, one in self._captured.items() if one.step.fits(cache)]
        self._captured = dict(fitting[1 - _MOST :])


def _capture(step: FixedStep) -> _Captured:
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            step.run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = step.run()
    return _Captured(step, graph, logits)


class FixedStep:
    """One decoding step whose shapes and places in memory never change, on any device.

    Args:
        lean: the model.
        cache: whose buffers it reads and writes.
        updates: of its rows.
        stack: those that rows have; None: no row has one.
    """

    def __init__(self, lean: Lean, cache: RowCache, updates: Updates, stack: Stack | None) -> None:
        self._lean, self._updates, self._stack = lean, updates, stack
        self._rows, self._columns = cache.room
        self._buffers = [layer.buffers for layer in cache.layers]
        # Of each row its token, the column in which it starts, and the number of its update; at last the column to be written.
        # At first nothing is written that a row could see.
        self._given = torch.zeros(3 * self._rows + 1, dtype=torch.long, device=self._buffers[0][0].device)
        self._given[-1] = cache.end

    def fits(self, cache: RowCache) -> bool:
        """Whether the cache's buffers are still those that it reads."""
        return len(cache.layers) == len(self._buffers) and all(
            layer.buffers is mine for layer, mine in zip(cache.layers, self._buffers, strict=True)
        )

    def take(self, tokens: Tensor, cache: RowCache, owners: Sequence[int]) -> None:
        """Set what the next run reads: tokens (B, 1) on any device, and whose update each row has, see ``Updates.placed``."""
        unused = [0] * (self._rows - len(cache.starts))
        given = torch.tensor([*tokens[:, 0].tolist(), *unused, *cache.starts, *unused, *owners, *unused, cache.end])
        self._given.copy_(given, non_blocking=True)

    def run(self) -> Tensor:
        """Logits (rows that there is room for, 1, V)."""
        tokens, starts, owners, end = torch.split(self._given, [self._rows, self._rows, self._rows, 1])
        column = torch.arange(self._columns, device=self._given.device)
        seen = (column >= starts[:, None]) & (column <= end)
        least = torch.finfo(self._lean.dtype).min
        bias = torch.zeros(seen.shape, dtype=self._lean.dtype, device=seen.device).masked_fill(~seen, least)
        positions = (end - starts).clamp(min=0)[:, None]
        memory = _FixedCache(self._buffers, end)
        with nullcontext() if self._stack is None else self._updates.using(self._stack, owners):
            return self._lean.run(tokens[:, None], positions, bias[:, None, None, :], memory)


class _FixedCache:
    """Writes one column, whose number lies on the device, and shows all columns that there are."""

    def __init__(self, buffers: Sequence[Sequence[Tensor]], column: Tensor) -> None:
        self._buffers, self._column = buffers, column

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        keys, values = self._buffers[layer_idx]
        keys.index_copy_(2, self._column, key_states)
        values.index_copy_(2, self._column, value_states)
        return keys, values
