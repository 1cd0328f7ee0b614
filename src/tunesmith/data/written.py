"""Encoded rows for models that write: what is read, and the tokens to be written, on disk side by side."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tunesmith.data import batch, store
from tunesmith.data.examples import Examples
from tunesmith.outputs import IGNORED
from tunesmith.text.encode import Encoded, Lists

_SCHEMA = {
    "input_ids": pa.list_(pa.int32()),
    "labels": pa.list_(pa.int32()),
    "row": pa.int64(),
    "first": pa.int32(),
    "length": pa.int32(),
}
_BATCH_SEQUENCES = 1000


@dataclass(frozen=True)
class Reading:
    """A row as tokens.

    Args:
        sequences: what is read and what is to be written, of each of the row's sequences. For a decoder both are
            aligned: the label of a token is that token, or ``outputs.IGNORED``. For an encoder-decoder the second is the text
            written. Without truth it is empty.
        length: tokens of the row before any cut.
        left_out: how many of them are in no sequence.
    """

    sequences: Sequence[tuple[Sequence[int], Sequence[int]]]
    length: int
    left_out: int = 0


def write(readings: Iterable[Reading], path: Path, *, max_length: int, unknown_id: int | None = None) -> Encoded:
    """Readings, one a row, in an Arrow file, or in memory where they are few."""
    lengths, left_out, unknown = [], [], 0
    schema = pa.schema(list(_SCHEMA.items()))

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal unknown
        columns: dict[str, list[object]] = {name: [] for name in _SCHEMA}
        for row, reading in enumerate(readings):
            lengths.append(reading.length)
            left_out.append(reading.left_out)
            for ids, labels in reading.sequences:
                values = (list(ids), list(labels), row, 0, len(ids))
                for name, value in zip(columns, values, strict=True):
                    columns[name].append(value)
                unknown += 0 if unknown_id is None else list(ids).count(unknown_id)
            if len(columns["row"]) >= _BATCH_SEQUENCES:
                yield pa.record_batch(columns, schema=schema)
                columns = {name: [] for name in _SCHEMA}
        yield pa.record_batch(columns, schema=schema)

    made = batches()
    first = next(made)
    kept_at = None if len(first) < _BATCH_SEQUENCES else path
    table = store.keep(itertools.chain([first], made), schema, kept_at)
    counts = (np.array(lengths, np.int32), np.array(left_out, np.int32))
    return Encoded(table, *counts, unknown_tokens=unknown, max_length=max_length)


class WrittenExamples(Examples):
    """Sequences to be read with the tokens to be written.

    Args:
        encoded: what ``write`` gave.
        pad_id: fills rows up.
        decoder: whether the model is a decoder, which reads what it writes.
        start: token from which an encoder-decoder writes; None: the last token of the text, as in mBART.

    Attributes:
        weights: tokens to be learned in each sequence, by whose sum in a step its loss is divided; float32.
    """

    def __init__(self, encoded: Encoded, pad_id: int, *, decoder: bool, start: int | None = None) -> None:
        super().__init__([encoded], pad_id)
        self._labels: Lists = encoded.lists("labels")
        self._decoder, self._start = decoder, start
        written = self._labels.take(np.arange(len(self)))
        self.weights = np.array([np.count_nonzero(labels != IGNORED) for labels in written], np.float32)
        if not decoder:
            self.lengths = self.lengths + np.array([len(labels) for labels in written])
        self.left_out = encoded.left_out
        self.targets = self.weights

    def tokens(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Inputs and ``labels``; see ``language_model.LanguageModel.forward``."""
        ids, labels = self._ids[0].take(indices), self._labels.take(indices)
        if self._decoder:
            # Padding stands at the end, where no token sees it: no mask, so that attention takes its quickest way.
            inputs = batch.pad([row[:-1] for row in ids], self._pad_id)
            return {"input_ids": inputs["input_ids"], "labels": _labels([row[1:] for row in labels])}
        inputs = batch.pad(ids, self._pad_id)
        before = [np.concatenate([[row[-1] if self._start is None else self._start], row[:-1]]) for row in labels]
        inputs["decoder_input_ids"] = batch.pad(before, self._pad_id)["input_ids"]
        inputs["labels"] = _labels(labels)
        return {name: tensor for name, tensor in inputs.items() if tensor is not None}

    def _inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        return self.tokens(indices)

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """Tokens to be learned in some sequences (B,); the labels themselves are among the inputs."""
        return torch.from_numpy(self.weights[indices])

    def weight(self, indices: np.ndarray) -> float:
        """The tokens to be learned in some sequences: the losses of a step are divided by it."""
        return max(1.0, float(self.weights[indices].sum()))

    def prompts(self) -> list[list[int]]:
        """What is read of each sequence, to write on from."""
        return [row.tolist() for row in self._ids[0].take(np.arange(len(self)))]


def _labels(rows: Sequence[np.ndarray]) -> Tensor:
    padded: Tensor = batch.pad(rows, IGNORED)["input_ids"]
    return padded
