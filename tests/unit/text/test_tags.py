"""Tags of every scheme are read as seqeval reads them, and what is written is read back."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from tunesmith.text import tags
from tunesmith.text.spans import Span
from tunesmith.text.tags import Scheme

SCHEMES = get_args(Scheme)
TYPES = ("person", "B-movie", "地点")


def some_spans(chance: random.Random, words: int, *, touching: bool = True) -> list[Span]:
    found, place = [], 0
    while place < words:
        size = chance.randint(1, 4)
        if chance.random() < 0.4 and place + size <= words:
            found.append(Span(place, place + size, chance.choice(TYPES)))
            place += 0 if touching else 1
        place += size
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_written_is_read_back_and_legal(scheme: Scheme) -> None:
    chance = random.Random(0)
    for _ in range(500):
        words = chance.randint(1, 12)
        spans = some_spans(chance, words, touching=scheme != "io")
        written = tags.write(spans, words, scheme)
        assert tags.read(written) == spans
        assert tags.illegal(written, scheme) == []


def test_any_tags_are_read_as_seqeval_reads_them() -> None:
    chance = random.Random(1)
    letters = [f"{letter}-{name}" for letter in "BIES" for name in ("person", "place")]
    for _ in range(2000):
        row = [chance.choice(["O", *letters]) for _ in range(chance.randint(1, 8))]
        expected = [Span(start, end + 1, name) for name, start, end in get_entities(row)]
        assert tags.read(row) == expected, row


@pytest.mark.parametrize(
    ("tag", "parsed"),
    [
        ("O", ("O", "")),
        ("o", ("O", "")),
        ("B-person", ("B", "person")),
        ("B_person", ("B", "person")),
        ("person-B", ("B", "person")),
        ("L-person", ("E", "person")),
        ("U-person", ("S", "person")),
        ("M-name", ("I", "name")),
        ("W", ("S", "entity")),
        ("B-creative-work", ("B", "creative-work")),
        ("creative-work", ("I", "creative-work")),
        ("person", ("I", "person")),
    ],
)
def test_forms_of_tags(tag: str, parsed: tuple[str, str]) -> None:
    assert tags.parse(tag) == parsed


@pytest.mark.parametrize("tag", ["", " ", "0", "17", "\u0663"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="is no tag"):
        tags.parse(tag)


@pytest.mark.parametrize(
    ("scheme", "row", "places"),
    [
        ("iob2", ["I-a", "O", "I-a", "B-a", "I-b"], [0, 2, 4]),
        ("iob1", ["B-a", "I-a", "B-a", "B-b"], [0, 3]),
        ("iobes", ["B-a", "O", "E-a", "S-a", "I-a"], [1, 2, 4, 5]),
        ("io", ["I-a", "B-a", "I-b"], [1]),
    ],
)
def test_breaches_are_placed(scheme: Scheme, row: list[str], places: list[int]) -> None:
    assert tags.illegal(row, scheme) == places


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_of_rows_is_told_although_some_are_broken(scheme: Scheme) -> None:
    chance = random.Random(2)
    rows = [tags.write(some_spans(chance, 12), 12, scheme) for _ in range(100)]
    rows[50] = ["O", "I-person", "O", "B-person", *["O"] * 8]
    assert tags.detect(rows) == scheme


def test_labels_are_all_tags_that_a_scheme_can_write() -> None:
    chance = random.Random(3)
    for scheme in SCHEMES:
        labels = tags.labels(TYPES, scheme)
        assert labels[0] == "O"
        assert len(set(labels)) == len(labels)
        written = {tag for _ in range(500) for tag in tags.write(some_spans(chance, 12), 12, scheme)}
        assert written == set(labels) if scheme != "iob1" else written <= set(labels)
