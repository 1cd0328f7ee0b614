"""Rows of several texts that are read apart: a pair and its hard negatives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunesmith.data.examples import Examples, encode_texts

if TYPE_CHECKING:
    from tunesmith.config import Model


class PairExamples(Examples):
    """Encoded rows whose texts are read apart; the network is told how many they are, for it may be any number."""

    def arrays(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """As ``Examples``, with ``parts`` (P,), the numbers of the texts of a row."""
        return {**super().arrays(indices), "parts": np.arange(len(self.encoded))}


def encode(
    rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, alike: np.ndarray | None, *, negatives: bool
) -> PairExamples:
    """Each text of a row in a sequence of its own.

    Args:
        rows: as for ``texts_apart``.
        tokenizer: of transformers.
        reading: how texts are read.
        folder: for the encoded texts.
        alike: how alike each pair is, (rows,), from 0 to 1; None when there is nothing to learn. What is learned,
            ``heads.embeddings`` tells.
        negatives: whether the hard negatives are wanted.
    """
    texts = texts_apart(rows, negatives=negatives)
    parts = [encode_texts(texts, tokenizer, reading, folder, name) for name in texts.column_names]
    targets = None if alike is None else np.column_stack([alike, numbered(rows, texts)])
    return PairExamples(parts, tokenizer.pad_token_id, targets)


def texts_apart(rows: pa.Table, *, negatives: bool = False) -> pa.Table:
    """The texts of each row that are read apart, one a column: ``text``, ``text_pair``, ``negative_1`` ...

    A text that is missing in a row is filled with another one of it, and nothing may be made of the result.

    Args:
        rows: with ``text`` and, maybe null, ``text_pair`` and the lists ``negative``; only the first if no row is a pair.
        negatives: whether the hard negatives are wanted.
    """
    texts = {"text": rows["text"]}
    if rows["text_pair"].null_count < len(rows):
        texts["text_pair"] = pc.coalesce(rows["text_pair"], rows["text"])
    lists = rows["negative"].to_pylist() if negatives else []
    for number in range(max(map(len, lists), default=0)):
        cells = [found[number] if number < len(found) else None for found in lists]
        texts[f"negative_{number + 1}"] = pc.coalesce(pa.array(cells, pa.string()), rows["text_pair"])
    return pa.table(texts)


def numbered(rows: pa.Table, texts: pa.Table) -> np.ndarray:
    """A number for each text, the same for the same text; -1 where a row has fewer hard negatives than others.

    Args:
        rows: with the lists ``negative``.
        texts: of ``texts_apart``.

    Returns:
        int64, (rows, columns of ``texts``).
    """
    found = np.stack(numbers(*(texts[name].to_pylist() for name in texts.column_names)), axis=1)
    hard = pc.list_value_length(rows["negative"]).to_numpy()
    return np.where(np.arange(found.shape[1]) < 2 + hard[:, None], found, -1)


def numbers(*columns: Sequence[str]) -> list[np.ndarray]:
    """A number for each text, the same for the same text in whichever column; int64, each (rows,).

    >>> [column.tolist() for column in numbers(["a", "b"], ["b", "c"])]
    [[0, 1], [1, 2]]
    """
    known: dict[str, int] = {}
    return [
        np.fromiter((known.setdefault(text, len(known)) for text in column), np.int64, len(column))
        for column in columns
    ]
