"""Encoded rows of one split, ready to be batched: token ids on disk, targets beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tunesmith.data import batch
from tunesmith.heads import IGNORED
from tunesmith.text import encode as text
from tunesmith.text.encode import Encoded

if TYPE_CHECKING:
    from tunesmith.config import Model


def encode_texts(
    rows: pa.Table,
    tokenizer: Any,
    reading: Model,
    folder: Path,
    column: str = "text",
    pair: str | None = None,
    **options: Any,
) -> Encoded:
    """Tokenise a column of texts, or two in one sequence, as the config's ``model`` section says; see ``text.encode``."""
    assert reading.max_length is not None
    asked = {
        "max_length": reading.max_length,
        "long_text": reading.long_text or "keep-ends",
        "window_overlap": reading.window_overlap,
        **options,
    }
    return text.encode(rows, tokenizer, folder / f"{column}.arrow", column=column, pair=pair, **asked)


class Examples:
    """Sequences of token ids with the text row that each belongs to.

    A text read in windows has several sequences; of a pair that is read separately, ``encoded`` holds the first and
    the second texts.

    Attributes:
        lengths: tokens that each sequence costs, int (sequences,).
        rows: text row of each sequence, int (sequences,).
        text_lengths: tokens of each text row before any cut, int (rows,).
        left_out: tokens of each text row that are not read, int (rows,).
        targets: what to learn, one a *row*; None when only answers are wanted.
        row_count: rows that were encoded.
    """

    targets: Any

    def __init__(self, encoded: Sequence[Encoded], pad_id: int, targets: np.ndarray | None = None) -> None:
        self.encoded = tuple(encoded)
        self._ids = [part.lists() for part in encoded]
        self._types = [part.lists("token_type_ids") for part in encoded if "token_type_ids" in part.table.column_names]
        self._pad_id = pad_id
        self._features: Tensor | None = None
        self._hidden: HiddenStates | None = None
        self._counts = np.stack([part.lengths for part in encoded])
        self.lengths: np.ndarray = self._counts.max(0).astype(np.int64) * len(encoded)
        self.rows: np.ndarray = encoded[0].rows
        self.text_lengths: np.ndarray = np.sum([part.text_lengths for part in encoded], axis=0)
        over = [np.maximum(part.text_lengths - part.max_length, 0) * bool(part.cut_texts) for part in encoded]
        self.left_out: np.ndarray = np.sum(over, axis=0)
        self.row_count = len(self.text_lengths)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.rows)

    def collate(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The inputs of a forward pass over some sequences (see ``network.Inputs``), kept states where there are any."""
        if self._features is not None:
            return {"features": self._features[torch.from_numpy(indices)]}
        inputs = self.tokens(indices)
        if self._hidden is not None:
            length = inputs.pop("input_ids").shape[1]
            inputs["hidden"] = self._hidden.padded(self.slots(indices), length)
        return inputs

    def tokens(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Token ids of some sequences, padded, with what the base model reads beside them."""
        types = [row for column in self._types for row in column.take(indices)] or None
        inputs = batch.pad([row for column in self._ids for row in column.take(indices)], self._pad_id, types=types)
        return {name: tensor for name, tensor in inputs.items() if tensor is not None}

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """Targets of some sequences: those of their rows."""
        assert self.targets is not None
        return torch.from_numpy(self.targets[self.rows[indices]])

    def weight(self, indices: np.ndarray) -> float:
        """What the losses of some sequences are divided by, to be their mean: how many sequences they are."""
        return len(indices)

    def slots(self, indices: np.ndarray) -> list[int]:
        """Places of some sequences in the store of hidden states, in the order of ``collate``'s rows."""
        return [int(i) * len(self._ids) + part for part in range(len(self._ids)) for i in indices]

    def keep_features(self, features: Tensor) -> None:
        """From now on hand out these features (sequences, F) instead of token ids."""
        self._features = features

    def keep_hidden(self, file: Path, width: int, precision: str) -> HiddenStates:
        """From now on hand out the hidden states that the caller writes to the returned store."""
        self._hidden = HiddenStates(file, self._counts.T.ravel(), width, precision)
        return self._hidden


class TokenExamples(Examples):
    """Encoded rows with something to learn of every token.

    Args:
        encoded: as for ``Examples``; one part.
        pad_id: as for ``Examples``.
        targets: of each *sequence*, int, (tokens,) or (tokens, K); ``heads.IGNORED`` where there is nothing to learn.
    """

    def __init__(self, encoded: Sequence[Encoded], pad_id: int, targets: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(encoded, pad_id)
        self._ends = np.cumsum([0, *self.lengths])
        self.targets = None if targets is None else np.concatenate([np.asarray(row, np.int32) for row in targets])

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """Targets of some sequences, (B, T) or (B, T, K), int64, padded as ``collate`` pads."""
        assert self.targets is not None
        shape = (len(indices), int(self.lengths[indices].max()), *self.targets.shape[1:])
        padded = torch.full(shape, IGNORED, dtype=torch.long)
        for row, index in zip(padded, indices.tolist(), strict=True):
            own = self.targets[self._ends[index] : self._ends[index + 1]]
            row[: len(own)] = torch.from_numpy(own)
        return padded


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
