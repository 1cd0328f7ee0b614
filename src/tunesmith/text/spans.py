"""Marked pieces of a text, and where the words of a text stand."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

# Scripts that put no spaces between words (or glue particles to them), by first and last character.
_UNSPACED = (
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u0f00", "\u109f"),  # Tibetan, Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u2e80", "\u9fff"),  # Chinese and Japanese with their punctuation
    ("\uf900", "\ufaff"),
    ("\uff00", "\uffef"),  # full-width forms
    ("\U00020000", "\U0003ffff"),
)
_HANGUL = (("\u1100", "\u11ff"), ("\uac00", "\ud7af"))


class Span(NamedTuple):
    """A piece of a text with a name: characters `start` to `end` (exclusive), and its type."""

    start: int
    end: int
    type: str


Place = tuple[int, int]
"""First character of a word and the one after its last."""


def join(words: Sequence[str]) -> tuple[str, list[Place]]:
    """One text of words: spaces between them, none beside characters of scripts written without, or where all words are letters.

    >>> join(["Meet", "Ann"]), join(["手", "机"])[0], join(["i", "O", "S"])[0]
    (('Meet Ann', [(0, 4), (5, 8)]), '手机', 'iOS')
    """
    letters = all(len(word) == 1 for word in words)
    parts: list[str] = []
    places: list[Place] = []
    length = 0
    for number, word in enumerate(words):
        if number and not letters and not (is_unspaced(words[number - 1][-1]) or is_unspaced(word[0])):
            parts.append(" ")
            length += 1
        parts.append(word)
        places.append((length, length + len(word)))
        length += len(word)
    return "".join(parts), places


def locate(words: Sequence[str], text: str) -> list[Place] | None:
    """Where words stand in their text one after another; None where one of them does not.

    >>> locate(["Ann", "?"], "Ann ?"), locate(["Ann"], "Eve")
    ([(0, 3), (4, 5)], None)
    """
    places, end = [], 0
    for word in words:
        start = text.find(word, end)
        if start < 0 or text[end:start].strip():
            return None
        end = start + len(word)
        places.append((start, end))
    return places


def split(text: str) -> list[Place]:
    """The words of a text: runs of letters and digits; every mark, and every character of a script without spaces, alone.

    >>> text = "U2 in 上海!"
    >>> [text[start:end] for start, end in split(text)]
    ['U2', 'in', '上', '海', '!']
    """
    places, start = [], -1
    for place, character in enumerate(text):
        kind = _kind(character)
        if kind != "letter" and start >= 0:
            places.append((start, place))
            start = -1
        if kind == "alone":
            places.append((place, place + 1))
        elif kind == "letter" and start < 0:
            start = place
    return [*places, (start, len(text))] if start >= 0 else places


def cut_words(places: Sequence[Place], spans: Sequence[Span]) -> list[Span]:
    """Spans of characters as spans of words; a span that does not begin and end where words do is left out."""
    first = {start: number for number, (start, _) in enumerate(places)}
    last = {end: number for number, (_, end) in enumerate(places)}
    return [
        Span(first[span.start], last[span.end] + 1, span.type)
        for span in spans
        if span.start in first and span.end in last
    ]


def in_characters(places: Sequence[Place], spans: Sequence[Span]) -> list[Span]:
    """Spans of words as spans of characters."""
    return [Span(places[start][0], places[end - 1][1], name) for start, end, name in spans]


def overlapping(spans: Sequence[Span]) -> tuple[Span, Span] | None:
    """Two spans that share a character, if there are any."""
    ordered = sorted(spans)
    return next(((one, two) for one, two in itertools.pairwise(ordered) if two.start < one.end), None)


def is_unspaced(character: str) -> bool:
    """Whether it belongs to a script that is written without spaces; Korean has spaces."""
    return any(first <= character <= last for first, last in _UNSPACED)


@functools.lru_cache(maxsize=1 << 16)
def _kind(character: str) -> str:
    if character.isspace():
        return "space"
    if is_unspaced(character) or any(first <= character <= last for first, last in _HANGUL):
        return "alone"
    return "alone" if unicodedata.category(character)[0] in "PSC" else "letter"
