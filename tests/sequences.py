"""Examples without files: sequences of one token, the sequence's own number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith.data.examples import Examples
from tunesmith.tasks.base import Scored


class Sequences(Examples):
    """Sequences which belong to given rows."""

    def __init__(self, rows: Sequence[int], targets: np.ndarray | None = None) -> None:
        self.rows, self.lengths = np.array(rows), np.ones(len(rows), dtype=np.int64)
        self.row_count = int(self.rows[-1]) + 1
        self.text_lengths = np.bincount(self.rows)
        self.targets = targets

    def arrays(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {"input_ids": indices[:, None]}


def scored(scores: np.ndarray, labels: Sequence[Any] | None = None) -> Scored:
    """Rows of text classification with their scores, and with label names if they are given."""
    cells = labels if labels is not None else [[]] * len(scores)
    names = [[str(name) for name in (cell if isinstance(cell, list) else [cell])] for cell in cells]
    texts = [f"text {row}" for row in range(len(scores))]
    rows = pa.table({"text": texts, "label": pa.array(names, pa.list_(pa.string()))})
    return Scored(rows, Sequences(range(len(scores))), scores, ("text",))
