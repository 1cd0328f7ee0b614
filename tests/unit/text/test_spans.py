"""Words stand where they are said to, in any script."""

from __future__ import annotations

import random

import pytest

from tunesmith.text import spans
from tunesmith.text.spans import Span


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann's U2 record, 3.5 stars!", ["Ann", "'", "s", "U2", "record", ",", "3", ".", "5", "stars", "!"]),
        ("在上海买iPhone15", ["在", "上", "海", "买", "iPhone15"]),
        ("서울 2024", ["서", "울", "2024"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("café naïve", ["café", "naïve"]),
        (" \n\t", []),
        ("", []),
        ("a😀b", ["a", "😀", "b"]),
    ],
)
def test_texts_are_split_into_words(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in spans.split(text)] == words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Meet", "Ann", "."], "Meet Ann ."),
        (list("中国 人"), "中国 人"),
        (["去", "New", "York", "玩"], "去New York玩"),
        (["a", "b"], "ab"),
        (["한국", "사람"], "한국 사람"),
    ],
)
def test_words_are_joined_as_their_script_is_written(words: list[str], text: str) -> None:
    joined, places = spans.join(words)
    assert joined == text
    assert [joined[start:end] for start, end in places] == words


def test_words_are_located_where_they_were_joined() -> None:
    chance = random.Random(0)
    for _ in range(500):
        words = ["".join(chance.choices("ab中!", k=chance.randint(1, 3))) for _ in range(chance.randint(1, 8))]
        text, places = spans.join(words)
        assert spans.locate(words, text) == places


def test_words_of_another_text_are_nowhere() -> None:
    assert spans.locate(["a", "c"], "a b c") is None, "b is between them"
    assert spans.locate(["a", "a"], "a") is None
    assert spans.locate(["a", "b"], "a \n b") == [(0, 1), (4, 5)]


def test_spans_go_from_characters_to_words_and_back() -> None:
    places = [(0, 3), (4, 7), (7, 8)]
    assert spans.cut_words(places, [Span(0, 7, "a"), Span(7, 8, "b"), Span(5, 7, "c")]) == [
        Span(0, 2, "a"),
        Span(2, 3, "b"),
    ]
    assert spans.in_characters(places, [Span(0, 2, "a"), Span(2, 3, "b")]) == [Span(0, 7, "a"), Span(7, 8, "b")]


def test_overlaps_are_found_and_touching_is_none() -> None:
    one, two, three = Span(0, 3, "a"), Span(3, 5, "a"), Span(4, 9, "b")
    assert spans.overlapping([two, one]) is None
    assert spans.overlapping([three, one, two]) == (two, three)
    assert spans.overlapping([one, one]) == (one, one)
