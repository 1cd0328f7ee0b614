"""Encoded rows of one split, ready to be batched: token ids on disk, targets beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tunesmith.data import batch
from tunesmith.outputs import IGNORED
from tunesmith.text import encode as text
from tunesmith.text.encode import Encoded

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.config import Model
    from tunesmith.data.hidden_states import HiddenStates


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

    def arrays(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs of a forward pass over some sequences (see ``network.Inputs``) as arrays, for any engine."""
        types = [row for column in self._types for row in column.take(indices)] or None
        return batch.stacked([row for column in self._ids for row in column.take(indices)], self._pad_id, types=types)

    def collate(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The same as tensors, with kept states in place of token ids where there are any."""
        import torch

        if self._features is not None:
            return {"features": self._features[torch.from_numpy(indices)]}
        inputs = self._inputs(indices)
        if self._hidden is not None:
            length = inputs.pop("input_ids").shape[1]
            inputs["hidden"] = self._hidden.padded(self.slots(indices), length)
        return inputs

    def tokens(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Token ids of some sequences, padded, with what the base model reads beside them."""
        return self._tensors(Examples.arrays(self, indices))

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """Targets of some sequences: those of their rows."""
        import torch

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
        from tunesmith.data.hidden_states import HiddenStates

        self._hidden = HiddenStates(file, self._counts.T.ravel(), width, precision)
        return self._hidden

    def _inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        return self._tensors(self.arrays(indices))

    @staticmethod
    def _tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        import torch

        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class TokenExamples(Examples):
    """Encoded rows with something to learn of every token.

    Args:
        encoded: as for ``Examples``; one part.
        pad_id: as for ``Examples``.
        targets: of each *sequence*, int, (tokens,) or (tokens, K); ``outputs.IGNORED`` where there is nothing to learn.
    """

    def __init__(self, encoded: Sequence[Encoded], pad_id: int, targets: Sequence[np.ndarray] | None = None) -> None:
        super().__init__(encoded, pad_id)
        self._ends = np.cumsum([0, *self.lengths])
        self.targets = None if targets is None else np.concatenate([np.asarray(row, np.int32) for row in targets])

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """Targets of some sequences, (B, T) or (B, T, K), int64, padded as ``collate`` pads."""
        import torch

        assert self.targets is not None
        shape = (len(indices), int(self.lengths[indices].max()), *self.targets.shape[1:])
        padded = torch.full(shape, IGNORED, dtype=torch.long)
        for row, index in zip(padded, indices.tolist(), strict=True):
            own = self.targets[self._ends[index] : self._ends[index + 1]]
            row[: len(own)] = torch.from_numpy(own)
        return padded
