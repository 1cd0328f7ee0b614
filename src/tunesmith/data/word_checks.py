"""What is suspicious about marked texts: tags that break their scheme, unknown types, spans that no token shows as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from tunesmith.data import store
from tunesmith.data.finding import MOST_EXAMPLES, Finding, Severity
from tunesmith.text import spans, tags, token_words
from tunesmith.text.encode import Encoded
from tunesmith.text.spans import Span
from tunesmith.text.token_words import Units, words_of

FEW_ENTITIES = 10
_MOST_BROKEN = 20
_MOST_SHOWN = 60


def type_findings(labels: Sequence[str], counts: Sequence[int]) -> Iterator[Finding]:
    """Types of the training rows that are rare, or whose names differ only in case or spaces.

    Args:
        labels: their names.
        counts: entities of each.
    """
    rare = [f"{label}: {count}" for label, count in zip(labels, counts, strict=True) if count < FEW_ENTITIES]
    if rare:
        message = f"{len(rare):,} types have under {FEW_ENTITIES} entities to learn from"
        yield Finding("warning", "rare_type", message, len(rare), tuple(rare[:MOST_EXAMPLES]), "add examples of them")
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[" ".join(label.casefold().split())].append(label)
    variants = tuple(" = ".join(map(repr, names)) for names in alike.values() if len(names) > 1)
    if variants:
        message = "types differ only in case or spaces, and are learned as different ones"
        yield Finding("warning", "type_variants", message, len(variants), variants[:MOST_EXAMPLES], "write them alike")


def row_findings(split: str, rows: pa.Table, labels: Sequence[str]) -> Iterator[Finding]:
    """Tags and entities of a split.

    Args:
        split: its name.
        rows: canonical rows of token classification.
        labels: types of the training rows.
    """
    yield from _broken_tags(split, rows)
    yield from entity_findings(split, rows, labels)


def entity_findings(split: str, rows: pa.Table, labels: Sequence[str]) -> Iterator[Finding]:
    """Entities of a split, of rows with ``text``, ``tokens`` and ``entities``; arguments as of ``row_findings``."""
    unknown, off = [], []
    known = set(labels)
    columns = (_cells(rows, name) for name in ("text", "tokens", "entities"))
    for row, (text, words, cell) in enumerate(zip(*columns, strict=True)):
        marked = [Span(**span) for span in cell]
        unknown += [(row, f"{shown(text, span)} [{span.type}]") for span in marked if span.type not in known]
        if words is None and marked:
            whole = set(spans.in_characters(places := words_of(text, None), spans.cut_words(places, marked)))
            off += [(row, f"{shown(text, span)} [{span.type}]") for span in marked if span not in whole]
    if unknown:
        names = ", ".join(sorted({text.rpartition("[")[2][:-1] for _, text in unknown}))
        message = (
            f"{len(unknown):,} {split} entities are of types that no training row has, so that none is found: {names}"
        )
        yield about_rows(
            "warning", "unknown_type", message, rows, unknown, "correct the names, or train on such rows too"
        )
    if off:
        message = f"{len(off):,} {split} entities start or end inside a word, and the model can only give whole words"
        yield about_rows("warning", "inside_word", message, rows, off, "correct them, or give tokens of your own")


def token_findings(split: str, rows: pa.Table, encoded: Encoded, slots: int = 1) -> Iterator[Finding]:
    """Entities of a split that the tokens of the base model do not show as they are, or that were cut away.

    Args:
        split: its name.
        rows: canonical rows of token classification.
        encoded: the same rows, with offsets.
        slots: how many words a token may speak for.
    """
    inside, lost = [], []
    columns = (_cells(rows, name) for name in ("text", "tokens", "entities"))
    texts, words, cells = zip(*zip(*columns, strict=True), strict=True) if len(rows) else ((), (), ())
    read = token_words.units(encoded, [words_of(*row) for row in zip(texts, words, strict=True)], slots)
    for row, (text, units, cell) in enumerate(zip(texts, read, cells, strict=True)):
        for span in (Span(**one) for one in cell):
            if not _is_read(units, span):
                lost.append((row, shown(text, span)))
            elif _is_inside_token(units, span):
                inside.append((row, shown(text, span)))
    if lost:
        message = f"{len(lost):,} {split} entities stand in the part of a text that is not read"
        yield about_rows("warning", "entity_cut", message, rows, lost, "read all of it: --model.long_text windows")
    if inside:
        message = f"{len(inside):,} {split} entities start or end inside a token of the base model, where it cannot tell words apart"
        yield about_rows("note", "inside_token", message, rows, inside, None)


def _broken_tags(split: str, rows: pa.Table) -> Iterator[Finding]:
    tagged = [(row, cell) for row, cell in enumerate(_cells(rows, "tags")) if cell]
    scheme = tags.detect(cell for _, cell in tagged)
    broken = [(row, cell, place) for row, cell in tagged for place in tags.illegal(cell, scheme)]
    if not broken:
        return
    told = [(row, _breach(rows["tokens"][row].as_py(), cell, place)) for row, cell, place in broken[:_MOST_BROKEN]]
    message = f"{len(broken):,} {split} tags break their scheme ({scheme}); they are read as conlleval reads them"
    hint = "correct them: a span begins at its first word inside, and ends before a word of another type"
    yield about_rows("warning", "broken_tags", message, rows, told, hint, count=len(broken), most=_MOST_BROKEN)


def _breach(words: Sequence[str], cell: Sequence[str], place: int) -> str:
    before = "at the start" if place == 0 else f"after {cell[place - 1]}"
    if place == len(cell):
        return f"the text ends {before}"
    return f"token {place + 1} '{words[place]}' has {cell[place]} {before}"


def _is_read(units: Units, span: Span) -> bool:
    here = token_words.touched(units, [span])
    return bool(here) and bool((units.tokens[here[0].start : here[0].end] >= 0).all())


def _is_inside_token(units: Units, span: Span) -> bool:
    """Whether words that share a token are only partly in the span."""
    [here] = token_words.touched(units, [span])
    return bool(units.places[here.start, 0] < span.start or units.places[here.end - 1, 1] > span.end)


def _cells(rows: pa.Table, column: str) -> Iterator[Any]:
    return (cell for chunk in rows[column].chunks for cell in chunk.to_pylist())


def shown(text: str, span: Span) -> str:
    """A piece of a text, in quotes, for a finding."""
    plain = " ".join(text[span.start : span.end].split())
    return f"'{plain if len(plain) <= _MOST_SHOWN else f'{plain[: _MOST_SHOWN - 1]}…'}'"


def about_rows(
    severity: Severity,
    code: str,
    message: str,
    rows: pa.Table,
    found: Sequence[tuple[int, str]],
    hint: str | None,
    *,
    count: int | None = None,
    most: int = MOST_EXAMPLES,
) -> Finding:
    """A finding about some rows: their numbers, each with what to show of it."""
    examples = tuple(f"{_where(rows, row)}: {text}" for row, text in found[:most])
    return Finding(severity, code, message, len(found) if count is None else count, examples, hint)


def _where(rows: pa.Table, row: int) -> str:
    return store.where(rows, row) if store.SOURCE in rows.column_names else f"row {row}"
