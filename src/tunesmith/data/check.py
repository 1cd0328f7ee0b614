"""What is suspicious about texts: damage, size, doubles, contradictions, leaks between splits, cuts, unknown words.

Everything here streams over Arrow batches and keeps at most a 64-bit hash of each text.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tunesmith.data import store
from tunesmith.data.finding import MOST_EXAMPLES, Finding
from tunesmith.data.split import Strata
from tunesmith.text.encode import Encoded

__all__ = [
    "Finding",
    "digests",
    "leak_findings",
    "leaked",
    "repeat_findings",
    "text_columns",
    "text_findings",
    "token_findings",
]

HUGE_CHARACTERS = 1_000_000
MUCH_UNKNOWN = 0.02

_DAMAGE = (
    ("encoding_damage", "\ufffd", "hold the replacement character U+FFFD: they were decoded wrongly before"),
    ("mojibake", "[ÂÃ][\u0080-\u00bf]|â€[\u0080-\u203a]|ï»¿", "look like UTF-8 read as Latin-1 ('Ã©' for 'é')"),
    ("control_character", "[\x00-\x08\x0e-\x1f\x7f]", "hold NUL or other control characters"),
)
_SHOWN = {chr(code): chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"}
_OTHER_SCRIPTS = "[\u0400-\u04ff\u0590-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"


def text_columns(table: pa.Table) -> list[str]:
    """The canonical columns that hold texts."""
    other = ("group", store.LINE, store.SOURCE)
    return [field.name for field in table.schema if pa.types.is_string(field.type) and field.name not in other]


def text_findings(split: str, table: pa.Table) -> Iterator[Finding]:
    """Damaged and huge texts of a split."""
    for code, pattern, message in _DAMAGE:
        rows = _matching(table, functools.partial(pc.match_substring_regex, pattern=pattern))
        if len(rows):
            hint = "repair the file; see --data.encoding" if code != "control_character" else None
            yield Finding(
                "warning", code, f"{len(rows):,} {split} texts {message}", len(rows), _examples(table, rows), hint
            )
    rows = _matching(table, lambda cells: pc.greater_equal(pc.utf8_length(cells), HUGE_CHARACTERS))
    if len(rows):
        message = f"{len(rows):,} {split} texts have over a million characters"
        yield Finding(
            "warning",
            "huge_text",
            message,
            len(rows),
            _examples(table, rows),
            "is it one text, or a file pasted into a cell?",
        )


def digests(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """A 64-bit hash of each row's texts, the same for texts that differ only in case, spaces or Unicode form.

    Args:
        table: canonical rows.
        columns: those of the texts.

    Returns:
        uint64, shape (rows,).
    """
    found = [np.zeros(0, np.uint64)]
    for _, batch in store.batches(table):
        texts = zip(*(batch[name].to_pylist() for name in columns), strict=True)
        packed = b"".join(hashlib.blake2b(_plain(row), digest_size=8).digest() for row in texts)
        found.append(np.frombuffer(packed, np.uint64) if columns else np.zeros(0, np.uint64))
    return np.concatenate(found)


def repeat_findings(split: str, table: pa.Table, digest: np.ndarray, labels: Strata | None) -> Iterator[Finding]:
    """The same text on several rows, with the same labels or with others."""
    sets = np.zeros(len(digest), np.int64) if labels is None else labels.sets()
    order = np.lexsort((sets, digest))
    same_text = digest[order[1:]] == digest[order[:-1]]
    other_labels = same_text & (sets[order[1:]] != sets[order[:-1]])
    repeats = np.flatnonzero(same_text & ~other_labels)
    if len(repeats):
        message = f"{len(repeats):,} {split} rows repeat another row's text{'' if labels is None else ' and label'}"
        yield Finding("note", "duplicate_text", message, len(repeats), _pairs(table, order, repeats))
    conflicts = np.flatnonzero(other_labels)
    if len(conflicts):
        count = len(np.unique(digest[order[conflicts]]))
        message = f"{count:,} {split} texts stand on several rows with different labels"
        hint = "correct them: no model can learn both"
        yield Finding("warning", "conflicting_label", message, count, _pairs(table, order, conflicts), hint)


def leaked(train: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which training rows have a text of the other split; bool, shape (training rows,)."""
    return np.isin(train, other)


def leak_findings(tables: Mapping[str, pa.Table], digest: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """Texts of validation and test that are also in the training data."""
    for split in tables:
        rows = np.flatnonzero(np.isin(digest[split], digest["train"])) if split != "train" else ()
        if len(rows):
            message = f"{len(rows):,} of {len(tables[split]):,} {split} texts are also training texts"
            message += ": scores on them flatter"
            hint = "leave them out of training: --data.leaks drop"
            examples = tuple(_leak_example(tables, digest, split, int(row)) for row in rows[:MOST_EXAMPLES])
            yield Finding("warning", "leak", message, len(rows), examples, hint)


def token_findings(split: str, table: pa.Table, encoded: Encoded) -> Iterator[Finding]:
    """Texts over the model's length, and words that the tokenizer does not know."""
    over = int((encoded.text_lengths > encoded.max_length).sum())
    if over:
        middle, most, all_but = np.quantile(encoded.text_lengths, [0.5, 0.9, 0.99])
        message = (
            f"{over:,} {split} texts ({over / len(encoded.text_lengths):.1%}) are over {encoded.max_length} tokens "
        )
        message += f"(median {middle:.0f}, 90% under {most:.0f}, 99% under {all_but:.0f}, longest {encoded.text_lengths.max()}); "
        message += f"{encoded.cut_tokens / encoded.text_lengths.sum():.1%} of all tokens are left out"
        if not encoded.cut_texts:
            message += f": they are read in {len(encoded) - len(encoded.text_lengths) + over:,} windows"
        hint = "read more of them: --model.max_length, or --model.long_text windows" if encoded.cut_texts else None
        examples = _examples(table, np.argsort(-encoded.text_lengths)[:1])
        yield Finding("warning" if encoded.cut_texts else "note", "long_text", message, over, examples, hint)
    share = encoded.unknown_tokens / max(1, int(encoded.lengths.sum(dtype=np.int64)))
    if share > MUCH_UNKNOWN:
        message = f"the tokenizer does not know {share:.1%} of the {split} tokens: this base model cannot read them"
        yield Finding("warning", "unknown_token", message, encoded.unknown_tokens, hint=_other_base(table))


def _other_base(table: pa.Table) -> str:
    texts = table.slice(0, 1000)[text_columns(table)[0]]
    foreign = pc.sum(pc.match_substring_regex(texts, _OTHER_SCRIPTS)).as_py() or 0
    if foreign > len(texts) / 2:
        return "the texts are not in Latin script; take a multilingual base: --model.base hf://intfloat/multilingual-e5-small"
    return "take a base model of the texts' language and domain: --model.base"


def _plain(texts: Iterable[Any]) -> bytes:
    joined = "\0".join(str(text or "") for text in texts)
    form = joined if joined.isascii() else unicodedata.normalize("NFKC", joined)
    return " ".join(form.casefold().split()).encode()


def _matching(table: pa.Table, test: Callable[[pa.Array], pa.Array]) -> np.ndarray:
    """Numbers of the rows of which some text passes a test."""
    found = [np.zeros(0, np.int64)]
    for rows, batch in store.batches(table):
        for name in text_columns(table):
            found.append(rows[pc.fill_null(test(batch[name]), False).to_numpy(zero_copy_only=False)])
    return np.unique(np.concatenate(found))


def _examples(table: pa.Table, rows: np.ndarray) -> tuple[str, ...]:
    columns = text_columns(table)
    return tuple(f"{store.where(table, row)}: {_short(table, columns, row)}" for row in rows[:MOST_EXAMPLES].tolist())


def _pairs(table: pa.Table, order: np.ndarray, positions: np.ndarray) -> tuple[str, ...]:
    """Rows that stand side by side in an order, as ``file:line = file:line: text``."""
    columns = text_columns(table)
    examples = []
    for position in positions[:MOST_EXAMPLES]:
        first, second = sorted((int(order[position]), int(order[position + 1])))
        examples.append(f"{store.where(table, second)} = {store.where(table, first)}: {_short(table, columns, first)}")
    return tuple(examples)


def _leak_example(tables: Mapping[str, pa.Table], digest: Mapping[str, np.ndarray], split: str, row: int) -> str:
    train = int(np.flatnonzero(digest["train"] == digest[split][row])[0])
    text = _short(tables[split], text_columns(tables[split]), row)
    return f"{store.where(tables[split], row)} = {store.where(tables['train'], train)}: {text}"


def _short(table: pa.Table, columns: Sequence[str], row: int) -> str:
    text = " | ".join(
        str(pc.utf8_slice_codeunits(table[name][row], 0, 80)) for name in columns if table[name][row].is_valid
    )
    plain = " ".join("".join(_SHOWN.get(letter, letter) for letter in text).split())
    return plain if len(plain) <= 60 else f"{plain[:59]}…"
