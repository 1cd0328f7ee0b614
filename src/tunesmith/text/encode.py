"""Texts become tokens: once, into Arrow, with long ones cut or read in windows as asked, and every cut counted.

A text is tokenised without special tokens, its ids are cut, and the special tokens are put around them as the tokenizer's
own template has them; so a text that is short enough comes out exactly as from the tokenizer itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith import quiet
from tunesmith.data import store
from tunesmith.errors import SourceError, UsageError
from tunesmith.text.sequence import Cutter, LongText, Template

DEFAULT_MAX_LENGTH = 256
_PIECE_ROWS = 500
_NO_LIMIT = 10**6


def template(tokenizer: Any, *, pair: bool = False) -> Template:
    """Derive a tokenizer's template from what it makes of a probe."""
    probes = ("first probe", "second") if pair else ("first probe",)
    contents = [_plain_ids(tokenizer, [probe])[0] for probe in probes]
    encoded = tokenizer(
        *probes, return_token_type_ids=True, return_attention_mask=False, truncation=False, padding=False
    )
    ids, types = list(encoded["input_ids"]), list(encoded["token_type_ids"])
    cuts, position = [0], 0
    for content in contents:
        start = next(at for at in range(position, len(ids) + 1) if ids[at : at + len(content)] == content)
        position = start + len(content)
        cuts += [start, position]
    cuts.append(len(ids))
    if "token_type_ids" not in tokenizer.model_input_names:
        types = [0] * len(ids)
    gaps = list(zip(cuts[::2], cuts[1::2], strict=True))
    return Template(
        tuple(tuple(ids[start:end]) for start, end in gaps),
        tuple(tuple(types[start:end]) for start, end in gaps),
        tuple(types[start] for start in cuts[1:-1:2]),
    )


@dataclass(frozen=True)
class Encoded:
    """Tokenised texts on disk.

    Args:
        table: memory-mapped; columns ``input_ids`` (list of int32), ``row`` (int64, number of its text in the table that was
            encoded), ``first`` (int32, number of its first own token in the text, of a pair in the second one), ``length``
            (int32), and, where used, ``token_type_ids`` (list of int8), ``starts``, ``ends`` (characters, spaces around
            a token left out) and ``part`` (0, 1; -1 at special tokens).
        text_lengths: tokens of each text before any cut, special ones included; int32, shape (texts,).
        left_out: tokens of each text that are in no encoded row; int32, shape (texts,).
        unknown_tokens: tokens that the tokenizer does not know.
        max_length: tokens of the longest row allowed.
    """

    table: pa.Table
    text_lengths: np.ndarray
    left_out: np.ndarray
    unknown_tokens: int
    max_length: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def cut_texts(self) -> int:
        """How many texts were cut."""
        return int(np.count_nonzero(self.left_out))

    @property
    def cut_tokens(self) -> int:
        """How many tokens of all texts were left out."""
        return int(self.left_out.sum(dtype=np.int64))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each encoded row; int32, shape (rows,)."""
        return np.asarray(self.table["length"])

    @property
    def rows(self) -> np.ndarray:
        """Number of each encoded row's text; int64, shape (rows,). Windows of one text stand together."""
        return np.asarray(self.table["row"])

    def lists(self, column: str = "input_ids") -> Lists:
        """Quick access to a column of lists."""
        return Lists(self.table[column])


class Lists:
    """A column of lists as NumPy arrays that share the mapped memory.

    >>> Lists(pa.chunked_array([[[1, 2], [3]], [[4]]])).take([2, 0])
    [array([4]), array([1, 2])]
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._values = [chunk.values.to_numpy() for chunk in column.chunks]
        self._offsets = [chunk.offsets.to_numpy() for chunk in column.chunks]
        self._ends = np.cumsum([len(chunk) for chunk in column.chunks])

    def take(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The lists of some rows."""
        chunks = np.searchsorted(self._ends, rows, side="right")
        found = []
        for chunk, row in zip(chunks.tolist(), np.asarray(rows).tolist(), strict=True):
            offsets, inside = self._offsets[chunk], row - int(self._ends[chunk])  # counted from the end
            found.append(self._values[chunk][offsets[inside - 1] : offsets[inside]])
        return found


def encode(
    table: pa.Table,
    tokenizer: Any,
    path: Path,
    *,
    max_length: int,
    long_text: LongText = "keep-ends",
    window_overlap: int = 32,
    column: str = "text",
    pair: str | None = None,
    offsets: bool = False,
) -> Encoded:
    """Tokenise a column of texts (or two, joined in one sequence) into an Arrow file, or in memory where they are few.

    Args:
        table: canonical rows.
        tokenizer: of transformers.
        path: of the file to write.
        max_length: most tokens of an encoded row, special ones included.
        long_text: what becomes of a text over ``max_length``. ``keep-ends`` keeps a quarter from its start and the rest from its
            end; ``windows`` makes several rows of it. Of two texts the longer one is cut first; ``windows-of-second`` reads the
            second one whole, and the first as far as half of ``max_length`` goes.
        window_overlap: tokens that neighbouring windows share.
        column: the column of the texts.
        pair: the column of second texts.
        offsets: also keep where in its text each token stands, in characters.

    Raises:
        UsageError: ``max_length`` leaves no room for the text, or for windows that move on.
    """
    kept = getattr(tokenizer, "templates", {})  # of a tokenizer that does not change
    form = kept.get(pair is not None) or template(tokenizer, pair=pair is not None)
    kept[pair is not None] = form
    cutter = Cutter(max_length - form.size, long_text, window_overlap, texts=2 if pair else 1)
    unknown = tokenizer.unk_token_id
    text_lengths, left_out = np.zeros((2, len(table)), dtype=np.int32)
    unknown_tokens = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal unknown_tokens
        for rows, batch in _pieces(table):
            tokens = [_tokens(tokenizer, batch[name].to_pylist(), offsets) for name in (column, pair) if name]
            encoded = _Rows(form, offsets)
            for index, row in enumerate(rows.tolist()):
                texts = [column_tokens[index] for column_tokens in tokens]
                text_lengths[row] = sum(len(text.ids) for text in texts) + form.size
                spans, left_out[row] = cutter.spans([len(text.ids) for text in texts])
                encoded.add(row, texts, spans)
            unknown_tokens += encoded.count(unknown)
            yield encoded.batch()

    kept_at = path if len(table) > _PIECE_ROWS else None
    return Encoded(
        store.keep(batches(), _schema(form, offsets), kept_at), text_lengths, left_out, unknown_tokens, max_length
    )


def choose_max_length(model_limit: int | None, asked: int | None = None) -> int:
    """The tokens to read of a text: as asked, else 256, or less where the model reads less.

    Args:
        model_limit: tokens that the model can read; None: no limit.
        asked: tokens that the user wants.

    Raises:
        UsageError: more was asked than the model can read.

    >>> choose_max_length(512), choose_max_length(128), choose_max_length(None, 1024)
    (256, 128, 1024)
    """
    if asked is not None and model_limit is not None and asked > model_limit:
        hint = f"legal: 4 to {model_limit}"
        raise UsageError(f"model.max_length = {asked}: the base model reads {model_limit} tokens", hint=hint)
    return asked or min(DEFAULT_MAX_LENGTH, model_limit or DEFAULT_MAX_LENGTH)


def length_limit(tokenizer: Any) -> int | None:
    """Tokens that a tokenizer says its model reads at once, special ones included; None: no limit."""
    limit = int(tokenizer.model_max_length)
    return limit if limit < _NO_LIMIT else None


def load_tokenizer(path: str | Path, *, fast: bool = True) -> Any:
    """The tokenizer in a folder; one without a padding token (most decoders) pads with its end token.

    Args:
        path: of the folder.
        fast: whether it must be a fast one, which alone tells where in a text its tokens stand.

    Raises:
        SourceError: there is none, it is not a fast one where it must be, or it has neither padding nor end token.
    """
    from transformers import AutoTokenizer

    try:
        with quiet.transformers():
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each kind of tokenizer fails in its own way
        raise SourceError(
            f"no tokenizer can be read in {path}: {quiet.first_line(error)}", hint="it should hold a tokenizer.json"
        ) from error
    if fast and not tokenizer.is_fast:
        raise SourceError(f"the tokenizer in {path} has no fast form", hint="save the model with a tokenizer.json")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            hint = "set pad_token in its tokenizer_config.json"
            raise SourceError(f"the tokenizer in {path} has neither a padding nor an end token", hint=hint)
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@dataclass(frozen=True)
class _Tokens:
    ids: list[int]
    offsets: list[tuple[int, int]] | None = None


class _Rows:
    """Encoded rows that become one record batch."""

    def __init__(self, form: Template, offsets: bool) -> None:
        self._form, self._offsets = form, offsets
        self._numbers: dict[str, list[int]] = {"row": [], "first": [], "length": []}
        self._lists: dict[str, list[int]] = {
            field.name: [] for field in _schema(form, offsets) if field.name not in self._numbers
        }

    def add(self, row: int, texts: Sequence[_Tokens], spans: list[list[list[slice]]]) -> None:
        """Add the encoded rows of one row of texts."""
        for slices in spans:
            parts = [_sliced(text.ids, pieces) for text, pieces in zip(texts, slices, strict=True)]
            ids = self._form.fill(parts)
            self._lists["input_ids"] += ids
            self._numbers["row"].append(row)
            self._numbers["first"].append(slices[-1][0].start)
            self._numbers["length"].append(len(ids))
            if self._form.uses_types:
                self._lists["token_type_ids"] += self._form.fill_types(parts)
            if self._offsets:
                self._add_offsets(texts, slices)

    def count(self, token: int | None) -> int:
        """How often a token occurs in the rows so far."""
        return 0 if token is None else self._lists["input_ids"].count(token)

    def batch(self) -> pa.RecordBatch:
        """All rows added."""
        schema = _schema(self._form, self._offsets)
        starts = pa.array(np.concatenate(([0], np.cumsum(self._numbers["length"]))), pa.int32())
        columns = [
            pa.array(self._numbers[field.name], field.type)
            if field.name in self._numbers
            else pa.ListArray.from_arrays(starts, pa.array(np.array(self._lists[field.name]), field.type.value_type))
            for field in schema
        ]
        return pa.record_batch(columns, schema=schema)

    def _add_offsets(self, texts: Sequence[_Tokens], slices: list[list[slice]]) -> None:
        spans = [_sliced(text.offsets or [], pieces) for text, pieces in zip(texts, slices, strict=True)]
        self._lists["starts"] += self._form.around([[start for start, _ in span] for span in spans], -1)
        self._lists["ends"] += self._form.around([[end for _, end in span] for span in spans], -1)
        self._lists["part"] += self._form.around([[number] * len(span) for number, span in enumerate(spans)], -1)


def _schema(form: Template, offsets: bool) -> pa.Schema:
    columns = {"input_ids": pa.list_(pa.int32()), "row": pa.int64(), "first": pa.int32(), "length": pa.int32()}
    if form.uses_types:
        columns["token_type_ids"] = pa.list_(pa.int8())
    if offsets:
        columns |= {"starts": pa.list_(pa.int32()), "ends": pa.list_(pa.int32()), "part": pa.list_(pa.int8())}
    return pa.schema(columns)


def _pieces(table: pa.Table) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    for rows, batch in store.batches(table):
        for start in range(0, len(batch), _PIECE_ROWS):
            yield rows[start : start + _PIECE_ROWS], batch.slice(start, _PIECE_ROWS)


def _sliced(values: list[Any], pieces: list[slice]) -> list[Any]:
    return values[pieces[0]] if len(pieces) == 1 else [value for piece in pieces for value in values[piece]]


def _tokens(tokenizer: Any, texts: list[str], offsets: bool) -> list[_Tokens]:
    if not offsets:
        return [_Tokens(ids) for ids in _plain_ids(tokenizer, texts)]
    if not tokenizer.is_fast:
        raise UsageError(f"{type(tokenizer).__name__} does not tell where in the text its tokens stand")
    encoded = _call(tokenizer, texts, return_offsets_mapping=True)
    found = zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    return [_Tokens(ids, [_trimmed(text, *offset) for offset in offsets]) for text, ids, offsets in found]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A token's characters without the spaces around them, which some tokenizers count in."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _plain_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Ids of texts without special tokens; the quick way past transformers' own bookkeeping where there is one."""
    backend = getattr(tokenizer, "backend_tokenizer", None) if tokenizer.is_fast else None
    if backend is None:
        found: list[list[int]] = _call(tokenizer, texts)["input_ids"]
        return found
    backend.no_truncation()
    backend.no_padding()
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]


def _call(tokenizer: Any, texts: list[str], **more: Any) -> Any:
    return tokenizer(
        texts,
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        **more,
    )
