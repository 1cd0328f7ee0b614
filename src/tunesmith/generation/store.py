"""What was read once need not be read again: keys and values of beginnings, and what an encoder made of a whole text.

Beginnings are kept in blocks of 32 tokens. A block is found by the one before it and its own tokens, so that texts which
begin alike share blocks, and the longest beginning that is known is a walk from block to block. Tokens are compared,
not hashes of them. Whatever is used becomes the newest, a block before those that follow it: so the oldest is never one
that others need.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 32
"""Tokens of a block."""

Key = tuple[Hashable, tuple[int, ...]]
"""What stands before, a block or whose beginning it is, and the tokens."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """States in one tensor, and whose they are."""

    states: Tensor
    owner: Hashable

    @property
    def size(self) -> int:
        """In bytes."""
        return self.states.nbytes


class PrefixStore:
    """A bounded memory of what was read; what was not used for longest goes first.

    An ``owner`` is whatever the states depend on beside the tokens, such as an adapter.

    Args:
        limit_bytes: most bytes of states; 0: nothing is kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self.bytes = limit_bytes, 0
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._shapes: list[torch.Size] = []
        self._block_bytes = 0

    @property
    def is_on(self) -> bool:
        """Whether anything may be kept."""
        return self._limit > 0

    @property
    def is_useful(self) -> bool:
        """Whether a block may be kept, as far as their size is known."""
        return self.is_on and self._block_bytes <= self._limit

    def known(self, tokens: Sequence[int], owner: Hashable = None) -> int:
        """How many of the first tokens of a text are known."""
        return len(list(self._walk(tokens, owner))) * BLOCK

    def next_key(self, tokens: Sequence[int], owner: Hashable = None) -> Key | None:
        """The first block of a text that is not known; None if all its whole blocks are."""
        before: Hashable = owner
        for part in _blocks(tokens):
            found = self._kept.get((before, part))
            if found is None:
                return before, part
            before = found
        return None

    def states(self, tokens: Sequence[int], owner: Hashable = None) -> list[Tensor]:
        """Keys and values of each layer in turn, (heads, tokens, size), of as many first tokens as are known; they are used now."""
        path = list(self._walk(tokens, owner))
        if not path:
            return []
        joined = torch.stack([self._kept[key].states for key in path])
        self._touch(path)
        parts = torch.split(joined, [shape.numel() for shape in self._shapes], 1)
        return [
            part.view(-1, *shape).transpose(0, 1).flatten(1, 2) for part, shape in zip(parts, self._shapes, strict=True)
        ]

    def keep(self, tokens: Sequence[int], read: Callable[[int, int], list[Tensor]], owner: Hashable = None) -> None:
        """Keep a beginning, as much of it as may be.

        Args:
            tokens: of the text.
            read: gives keys and values of each layer in turn, (heads, tokens, size), from one token to before another.
            owner: whose they are.
        """
        path = list(self._walk(tokens, owner))
        first, last = len(path) * BLOCK, len(tokens) // BLOCK * BLOCK
        if first == last or not self.is_on:
            return
        parts = [state.reshape(len(state), -1, BLOCK, state.shape[2]).transpose(0, 1) for state in read(first, last)]
        self._shapes = [part.shape[1:] for part in parts]
        self._block_bytes = size = sum(part[0].nbytes for part in parts)
        fits = self._limit // size - len(path)
        fresh = list(_blocks(tokens[first:last]))[: max(fits, 0)]
        self._touch(path)
        self._shrink(len(fresh) * size)
        before: Hashable = self._kept[path[-1]] if path else owner
        for number, block in enumerate(fresh):
            kept = _Kept(torch.cat([part[number].flatten() for part in parts]), owner)
            path.append((before, block))
            self._add(path[-1], kept)
            before = kept
        self._touch(path)

    def source(self, tokens: Sequence[int], owner: Hashable = None) -> Tensor | None:
        """What an encoder made of a text, (tokens, width); None if that is not known."""
        key = owner, tuple(tokens)
        if key not in self._kept:
            return None
        self._touch([key])
        return self._kept[key].states

    def keep_source(self, tokens: Sequence[int], states: Tensor, owner: Hashable = None) -> None:
        """Keep what an encoder made of a text, (tokens, width)."""
        key = owner, tuple(tokens)
        if states.nbytes <= self._limit and key not in self._kept:
            self._shrink(states.nbytes)
            self._add(key, _Kept(states.clone(), owner))

    def forget(self, owner: Hashable) -> None:
        """Let go of what is an owner's."""
        for key in [key for key, kept in self._kept.items() if kept.owner == owner]:
            self.bytes -= self._kept.pop(key).size

    def _walk(self, tokens: Sequence[int], owner: Hashable) -> Iterator[Key]:
        """Keys of the first blocks that are known."""
        before: Hashable = owner
        for part in _blocks(tokens):
            key = before, part
            if key not in self._kept:
                return
            yield key
            before = self._kept[key]

    def _add(self, key: Key, kept: _Kept) -> None:
        self._kept[key] = kept
        self.bytes += kept.size

    def _touch(self, path: Sequence[Key]) -> None:
        """Make these the newest, the last of them first."""
        for key in reversed(path):
            self._kept.move_to_end(key)

    def _shrink(self, more: int) -> None:
        """Make room for so many bytes."""
        while self._kept and self.bytes + more > self._limit:
            _, kept = self._kept.popitem(last=False)
            self.bytes -= kept.size


def _blocks(tokens: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Whole blocks.

    >>> [len(part) for part in _blocks(range(70))]
    [32, 32]
    """
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        yield tuple(tokens[start : start + BLOCK])
