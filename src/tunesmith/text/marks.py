"""Marked pairs: two mentions in a text, written as ``<e1>..</e1>`` and ``<e2>..</e2>`` or found by what they say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.text.spans import Place, is_unspaced

_MARKS = (("<e1>", "</e1>"), ("<e2>", "</e2>"))
_READ = (("@ ", " @"), ("# ", " #"))
_MARK = re.compile(r"</?e[12]>")


@dataclass(frozen=True)
class Marked:
    """A text without markers, and where its two mentions stand, which may share characters.

    Args:
        text: the text.
        first: characters of the first mention.
        second: characters of the second mention.
    """

    text: str
    first: Place
    second: Place

    @property
    def mentions(self) -> tuple[str, str]:
        """What the two mentions say."""
        return self.text[slice(*self.first)], self.text[slice(*self.second)]


def has_marks(text: str) -> bool:
    """Whether any marker stands in a text.

    >>> has_marks("a <e1>b"), has_marks("a < b")
    (True, False)
    """
    return _MARK.search(text) is not None


def read(text: str) -> Marked:
    """A text with markers.

    Raises:
        ValueError: one is missing or doubled, or there is nothing between two of them.

    >>> read("<e1>Ann</e1> met <e2>Bob</e2>")
    Marked(text='Ann met Bob', first=(0, 3), second=(8, 11))
    """
    for mark in itertools.chain(*_MARKS):
        if (count := text.count(mark)) != 1:
            raise ValueError(f"has no {mark}" if not count else f"has {mark} {'twice' if count == 2 else 'often'}")
    places: dict[str, int] = {}
    taken = 0
    for found in _MARK.finditer(text):
        places[found.group()] = found.start() - taken
        taken += len(found.group())
    plain = _MARK.sub("", text)
    mentions = [(places[opening], places[closing]) for opening, closing in _MARKS]
    for (opening, closing), (start, end) in zip(_MARKS, mentions, strict=True):
        if not plain[start:end].strip():
            raise ValueError(f"has nothing between {opening} and {closing}")
    return Marked(plain, *mentions)


def write(marked: Marked) -> str:
    """The text with markers; ``read`` gives the same again."""
    return _written(marked, _MARKS)[0]


def as_read(marked: Marked) -> Marked:
    """The text as a model reads it: the mentions between signs that every tokenizer knows, and counted with these.

    After Zhou and Chen 2022, "An Improved Baseline for Sentence-level Relation Extraction" (punctuation as markers).
    """
    text, first, second = _written(marked, _READ)
    return Marked(text, first, second)


def place(text: str, first: str, second: str) -> Marked:
    """Where two mentions stand: as whole words, apart from one another, and as near to one another as can be.

    Raises:
        LookupError: one does not occur; its argument is 0 for the first, 1 for the second.

    >>> place("Ann left, Ann met Bob", "Ann", "Bob").first
    (10, 13)
    """
    firsts, seconds = _occurrences(text, first), _occurrences(text, second)
    for which, found in enumerate((firsts, seconds)):
        if not found:
            raise LookupError(which)
    return Marked(text, *min(itertools.product(firsts, seconds), key=_distance))


def _written(marked: Marked, marks: Sequence[tuple[str, str]]) -> tuple[str, Place, Place]:
    """The text with marks put around the mentions, and where each mention stands with its own marks."""
    signs = []
    for number, (start, end) in enumerate((marked.first, marked.second)):
        opening, closing = marks[number]
        # Ends before starts; of starts the longer mention's first; of ends the one that started last.
        signs.append(((start, 1, -end, number), opening, number))
        signs.append(((end, 0, -start, -number), closing, number))
    parts, reached, length = [], 0, 0
    places = [[0, 0], [0, 0]]
    for (at, is_opening, *_), sign, number in sorted(signs):
        parts += [marked.text[reached:at], sign]
        length += at - reached
        places[number][1 - is_opening] = length + (0 if is_opening else len(sign))
        length += len(sign)
        reached = at
    parts.append(marked.text[reached:])
    first, second = ((start, end) for start, end in places)
    return "".join(parts), first, second


def _occurrences(text: str, mention: str) -> list[Place]:
    """Where a mention stands; where it stands as whole words, only these places."""
    if not mention.strip():
        return []
    found = [(one.start(), one.start() + len(mention)) for one in re.finditer(f"(?={re.escape(mention)})", text)]
    return [one for one in found if _is_whole(text, one)] or found


def _is_whole(text: str, where: Place) -> bool:
    """Whether a word neither goes on before nor after it; in scripts without spaces none does."""
    return not any(
        0 < at < len(text) and all(side.isalnum() and not is_unspaced(side) for side in text[at - 1 : at + 1])
        for at in where
    )


def _distance(pair: tuple[Place, Place]) -> tuple[bool, int, int, int]:
    (start, end), (other_start, other_end) = pair
    apart = max(other_start - end, start - other_end)
    return apart < 0, abs(apart), start, other_start
