"""Hidden states of every token, kept on disk, so that frozen blocks run once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


class HiddenStates:
    """Hidden states of every token of every sequence, in one memory-mapped file.

    bfloat16 is stored as its 16 bits, since numpy does not know it.
    """

    def __init__(self, file: Path, counts: np.ndarray, width: int, precision: str) -> None:
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        self.half = precision == "bf16"
        shape = (int(self.starts[-1]), width)
        file.parent.mkdir(parents=True, exist_ok=True)
        self.states = np.memmap(file, dtype=np.int16 if self.half else np.float32, mode="w+", shape=shape)

    def put(self, slot: int, hidden: Tensor) -> None:
        """Store the states (T, W) of one sequence."""
        rows = hidden[: self.starts[slot + 1] - self.starts[slot]].cpu()
        values = rows.bfloat16().view(torch.int16) if self.half else rows.float()
        self.states[self.starts[slot] : self.starts[slot + 1]] = values.numpy()

    def padded(self, slots: Sequence[int], length: int) -> Tensor:
        """States of some sequences, stacked (B, length, W) and filled with zeros."""
        parts = [torch.from_numpy(np.array(self.states[self.starts[slot] : self.starts[slot + 1]])) for slot in slots]
        stacked = torch.zeros(len(parts), length, self.states.shape[1], dtype=parts[0].dtype)
        for row, part in zip(stacked, parts, strict=True):
            row[: len(part)] = part
        return stacked.view(torch.bfloat16).float() if self.half else stacked
