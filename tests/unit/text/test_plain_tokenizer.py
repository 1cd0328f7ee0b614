"""The plain tokenizer gives what transformers' gives, in all that is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tunesmith.errors import BundleError
from tunesmith.text import encode, plain_tokenizer

TEXTS = ["the film was fine", "", "Loved the plot, and THEN it was very great!", "日本 not here"]


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5"])
@pytest.mark.parametrize("pair", [None, "pair"])
def test_rows_are_encoded_alike(model: Callable[..., Path], family: str, pair: str | None, tmp_path: Path) -> None:
    tokenizer = encode.load_tokenizer(model(family))
    plain_tokenizer.save(tokenizer, tmp_path)
    plain = plain_tokenizer.load(tmp_path)
    assert (plain.pad_token_id, plain.unk_token_id) == (tokenizer.pad_token_id, tokenizer.unk_token_id)
    table = pa.table({"text": TEXTS, "pair": TEXTS[::-1]})
    for _ in range(2):  # the second time what was derived of it is kept
        one, other = (encoded(table, each, pair, tmp_path) for each in (tokenizer, plain))
        assert one.table.equals(other.table)
        assert one.unknown_tokens == other.unknown_tokens


def encoded(table: pa.Table, tokenizer: Any, pair: str | None, folder: Path) -> encode.Encoded:
    options: Any = (
        {"max_length": 16, "long_text": "windows", "window_overlap": 2} if pair is None else {"max_length": 16}
    )
    return encode.encode(table, tokenizer, folder / "rows.arrow", pair=pair, offsets=True, **options)


def test_one_that_is_missing_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="tokenizer cannot be read"):
        plain_tokenizer.load(tmp_path)
    (tmp_path / "reading.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match="tokenizer cannot be read"):
        plain_tokenizer.load(tmp_path)
