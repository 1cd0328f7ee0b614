"""Which texts of a row are read apart, and which of them are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from tunesmith import config
from tunesmith.data import pair_examples
from tunesmith.data.examples import encode_texts
from tunesmith.data.pair_examples import PairExamples
from tunesmith.text import encode as text

SCHEMA = pa.schema({"text": pa.string(), "text_pair": pa.string(), "negative": pa.list_(pa.string())})


def rows(*cells: tuple[str, str | None, list[str]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in cells], schema=SCHEMA)


def test_texts_apart() -> None:
    table = rows(("a", "b", ["c", "d"]), ("e", "f", []), ("g", None, ["h"]))
    assert pair_examples.texts_apart(table).to_pydict() == {"text": ["a", "e", "g"], "text_pair": ["b", "f", "g"]}
    full = pair_examples.texts_apart(table.slice(0, 2), negatives=True)
    assert full.to_pydict() == {
        "text": ["a", "e"],
        "text_pair": ["b", "f"],
        "negative_1": ["c", "f"],
        "negative_2": ["d", "f"],
    }
    assert pair_examples.texts_apart(rows(("a", None, []), ("b", None, []))).column_names == ["text"]


def test_the_same_text_has_the_same_number() -> None:
    table = rows(("a", "b", ["c"]), ("b", "a", []), ("c", "d", ["b"]))
    numbers = pair_examples.numbered(table, pair_examples.texts_apart(table, negatives=True))
    assert numbers.tolist() == [[0, 1, 2], [1, 0, -1], [2, 3, 1]]
    assert pair_examples.numbered(table, pair_examples.texts_apart(table)).tolist() == [[0, 1], [1, 0], [2, 3]]


def test_the_network_is_told_how_many_texts_a_row_has(model: Callable[..., Path], tmp_path: Path) -> None:
    tokenizer = text.load_tokenizer(model("bert"))
    texts = pair_examples.texts_apart(rows(("a", "b b", ["c"]), ("d", "e", [])), negatives=True)
    reading = config.Model(max_length=8)
    parts = [encode_texts(texts, tokenizer, reading, tmp_path, name) for name in texts.column_names]
    inputs = PairExamples(parts, tokenizer.pad_token_id).collate(np.array([1, 0]))
    assert inputs["parts"].tolist() == [0, 1, 2]
    assert inputs["input_ids"].shape == (6, 4)
    assert (inputs["input_ids"] != tokenizer.pad_token_id).sum(1).tolist() == [3, 3, 3, 4, 3, 3]
