"""What is suspicious about rows of relations: rare and unknown ones, and what a model is never shown together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from tunesmith.data.finding import MOST_EXAMPLES, Finding
from tunesmith.data.relation_examples import MarkedExamples, read_together
from tunesmith.data.relation_rows import truths
from tunesmith.data.word_checks import about_rows, shown
from tunesmith.text import marks, token_words
from tunesmith.text.encode import Encoded
from tunesmith.text.triples import Pattern

FEW_RELATIONS = 10


def relation_findings(rows: pa.Table) -> Iterator[Finding]:
    """Relations that training rows hardly have, and rows without any."""
    held = [truth.relations for truth in truths(rows)]
    counts = Counter(one.type for relations in held for one in relations)
    rare = [f"{name}: {count}" for name, count in sorted(counts.items()) if count < FEW_RELATIONS]
    if rare:
        message = f"{len(rare):,} relations hold under {FEW_RELATIONS} times in the training rows"
        yield Finding("warning", "rare_relation", message, len(rare), tuple(rare[:MOST_EXAMPLES]), "add examples")
    if empty := sum(not relations for relations in held):
        yield Finding("note", "no_relation", f"{empty:,} of {len(held):,} training rows hold no relation", empty)


def unknown_findings(
    split: str, rows: pa.Table, relations: Collection[str], patterns: Collection[tuple[str, str, str]]
) -> Iterator[Finding]:
    """Relations of a split that no training row has, at all or between such entities.

    Args:
        split: its name.
        rows: canonical rows of triples.
        relations: of the training rows.
        patterns: of the training rows, as ``triples.Pattern``.
    """
    unknown, elsewhere = [], []
    for row, (text, truth) in enumerate(zip(_texts(rows), truths(rows), strict=True)):
        for head, name, tail in sorted(truth.triples()):
            here = (row, f"{shown(text, head)} [{head.type}] {name} {shown(text, tail)} [{tail.type}]")
            if name not in relations:
                unknown.append(here)
            elif Pattern(head.type, name, tail.type) not in patterns:
                elsewhere.append(here)
    if unknown:
        message = f"{len(unknown):,} {split} relations are of types that no training row has, so that none is found"
        hint = "correct the names, or train on such rows too"
        yield about_rows("warning", "unknown_relation", message, rows, unknown, hint)
    if elsewhere:
        message = f"{len(elsewhere):,} {split} relations are between types of entities that no training row has them"
        hint = "they are only found where requests say --request.patterns any"
        yield about_rows("note", "new_pattern", f"{message} between", rows, elsewhere, hint)


def apart_findings(split: str, rows: pa.Table, encoded: Encoded) -> Iterator[Finding]:
    """Relations between entities that no window shows together.

    Args:
        split: its name.
        rows: canonical rows of triples.
        encoded: the same rows, with offsets.
    """
    words = [token_words.words_of(*row) for row in zip(_texts(rows), rows["tokens"].to_pylist(), strict=True)]
    apart = []
    for row, (text, units, truth) in enumerate(
        zip(_texts(rows), token_words.units(encoded, words), truths(rows), strict=True)
    ):
        for head, name, tail in sorted(truth.triples()):
            if not read_together(units, (head, tail)):
                apart.append((row, f"{shown(text, head)} {name} {shown(text, tail)}"))
    if apart:
        message = f"{len(apart):,} {split} relations are between entities that stand too far apart to be read together"
        hint = "read more at once: --model.max_length"
        yield about_rows("warning", "relation_apart", message, rows, apart, hint)


def mention_findings(split: str, rows: pa.Table, encoded: Encoded) -> Iterator[Finding]:
    """Marked pairs of which no window shows both mentions.

    Args:
        split: its name.
        rows: canonical rows of marked pairs.
        encoded: their texts as a model reads them, with offsets.
    """
    read = [marks.as_read(marks.read(text)) for text in _texts(rows)]
    places = np.array([(*one.first, *one.second) for one in read], np.int64).reshape(-1, 4)
    both = MarkedExamples(encoded, 0, places).shows_both()
    lost = [(row, "".join(text.split("\n"))[:60]) for row, text in enumerate(_texts(rows)) if not both[row]]
    if lost:
        message = f"{len(lost):,} {split} texts are never read where both mentions stand"
        hint = "read more at once: --model.max_length; and all of it: --model.long_text windows"
        yield about_rows("warning", "mention_cut", message, rows, lost, hint)


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows["text"].to_pylist()
    return texts
