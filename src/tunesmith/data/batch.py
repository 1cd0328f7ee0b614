"""Batches of rows of near-equal length, cut into forward passes under a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_CHUNK_BATCHES = 50


@dataclass(frozen=True)
class Batches:
    """The batches of each epoch of a training run.

    Rows are shuffled, cut into chunks of 50 batches, sorted by length within a chunk, cut into batches, and the batches
    shuffled: so a batch holds rows of near-equal length and yet differs from epoch to epoch. Only row numbers and lengths
    are touched, so any step of any epoch can be started from at once.

    Args:
        lengths: tokens of each row; int, shape (rows,).
        batch_size: rows in a batch, unless ``batch_tokens`` is given.
        batch_tokens: padded tokens in a batch (a longer row makes a batch alone).
        micro_tokens: padded tokens in one forward pass; None: a batch is one pass.
        seed: of the shuffles.
    """

    lengths: np.ndarray
    batch_size: int = 32
    batch_tokens: int | None = None
    micro_tokens: int | None = None
    seed: int = 0

    def __len__(self) -> int:
        """Batches of epoch 0. With ``batch_size`` every epoch has as many, with ``batch_tokens`` a few more or less."""
        return len(self.epoch(0))

    def epoch(self, number: int, rows: np.ndarray | None = None) -> list[np.ndarray]:
        """All batches of an epoch: row numbers, each batch ascending in length.

        Args:
            number: of the epoch, from 0.
            rows: the row numbers that the epoch visits; None: each row once. A row may come more than once.
        """
        random = np.random.default_rng((self.seed, number))
        order = random.permutation(np.arange(len(self.lengths)) if rows is None else rows)
        batches = [batch for chunk in self._chunks(order) for batch in self._cut(chunk)]
        return [batches[index] for index in random.permutation(len(batches))]

    def steps(self, number: int, start: int = 0, rows: np.ndarray | None = None) -> Iterator[list[np.ndarray]]:
        """The batches of an epoch from step ``start`` on, each as its forward passes."""
        for batch in self.epoch(number, rows)[start:]:
            yield micro_batches(self.lengths[batch], batch, self.micro_tokens)

    def _chunks(self, order: np.ndarray) -> Iterator[np.ndarray]:
        size = self.batch_size
        if self.batch_tokens:
            size = max(1, int(self.batch_tokens / max(1.0, float(self.lengths[order].mean() if len(order) else 1))))
        for start in range(0, len(order), size * _CHUNK_BATCHES):
            chunk = order[start : start + size * _CHUNK_BATCHES]
            yield chunk[np.argsort(self.lengths[chunk], kind="stable")]

    def _cut(self, chunk: np.ndarray) -> list[np.ndarray]:
        """A chunk, sorted by length, as batches. The short batch is the one of the longest rows."""
        if self.batch_tokens:
            return under_budget(self.lengths[chunk], chunk, self.batch_tokens)
        return [chunk[start : start + self.batch_size] for start in range(0, len(chunk), self.batch_size)]


@dataclass(frozen=True)
class SortedBatches:
    """Batches for evaluation: every row once, longest first, under a budget of padded tokens.

    Longest first, so that memory that does not suffice shows at once.

    >>> batches = SortedBatches.of(np.array([3, 9, 5]), micro_tokens=10)
    >>> [batch.tolist() for batch in batches.batches], batches.inverse.tolist()
    ([[1], [2, 0]], [2, 0, 1])
    """

    batches: tuple[np.ndarray, ...]
    inverse: np.ndarray
    """Position of each row among the batches' rows: ``outputs[inverse]`` is in the order of the rows."""

    @classmethod
    def of(cls, lengths: np.ndarray, *, micro_tokens: int) -> SortedBatches:
        """Sort rows by length and cut them under a budget of ``micro_tokens`` padded tokens."""
        order = np.argsort(-np.asarray(lengths), kind="stable")
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return cls(tuple(under_budget(np.asarray(lengths)[order], order, micro_tokens)), inverse)


def micro_batches(lengths: np.ndarray, rows: np.ndarray, micro_tokens: int | None) -> list[np.ndarray]:
    """A batch as forward passes, each under ``micro_tokens`` padded tokens; longest rows first."""
    order = np.argsort(-lengths, kind="stable")
    return [rows[order]] if micro_tokens is None else under_budget(lengths[order], rows[order], micro_tokens)


def under_budget(lengths: np.ndarray, rows: np.ndarray, tokens: int) -> list[np.ndarray]:
    """Cut rows, sorted by length either way, into runs of at most ``tokens`` padded tokens; a longer row stands alone."""
    cuts, start = [0], 0
    for position, (first, length) in enumerate(_with_first(lengths, cuts)):
        if position > start and max(first, length) * (position - start + 1) > tokens:
            start = position
            cuts.append(position)
    return [rows[begin:end] for begin, end in zip(cuts, [*cuts[1:], len(rows)], strict=True) if end > begin]


def _with_first(lengths: np.ndarray, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each length with that of the first row of the run it would join."""
    values = lengths.tolist()
    return ((values[cuts[-1]], length) for length in values)


def padding_share(lengths: np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Share of the computed tokens that are padding; in [0, 1)."""
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches if len(batch))
    real = sum(int(lengths[batch].sum()) for batch in batches)
    return 1 - real / padded if padded else 0.0


def pad(
    rows: Sequence[np.ndarray],
    pad_id: int,
    *,
    multiple: int = 1,
    types: Sequence[np.ndarray] | None = None,
    left: bool = False,
) -> dict[str, Any]:
    """What ``stacked`` makes, as tensors, and None for an attention mask where nothing is padded."""
    import torch

    found = stacked(rows, pad_id, multiple=multiple, types=types, left=left)
    return {"attention_mask": None} | {name: torch.from_numpy(grid) for name, grid in found.items()}


def stacked(
    rows: Sequence[np.ndarray],
    pad_id: int,
    *,
    multiple: int = 1,
    types: Sequence[np.ndarray] | None = None,
    left: bool = False,
) -> dict[str, np.ndarray]:
    """Stack token ids.

    Args:
        rows: ids of each row; int, shape (tokens,).
        pad_id: id that fills up.
        multiple: the padded length is a multiple of it.
        types: segment numbers of each row, for models that read them.
        left: fill up before the row, as decoders that write on want it.

    Returns:
        ``input_ids``, int64, shape (rows, length); ``attention_mask``, int64 of the same shape, unless nothing is padded,
        which lets attention skip it; ``token_type_ids`` when ``types`` is given.
    """
    longest = max(len(row) for row in rows)
    length = -(-longest // multiple) * multiple
    grids = {"input_ids": _stack(rows, length, pad_id, left)}
    if any(len(row) < length for row in rows):
        grids["attention_mask"] = _stack([np.ones(len(row)) for row in rows], length, 0, left)
    if types is not None:
        grids["token_type_ids"] = _stack(types, length, 0, left)
    return grids


def _stack(rows: Sequence[np.ndarray], length: int, fill: int, left: bool) -> np.ndarray:
    grid = np.full((len(rows), length), fill, dtype=np.int64)
    for line, row in zip(grid, rows, strict=True):
        line[slice(length - len(row), None) if left else slice(0, len(row))] = row
    return grid
