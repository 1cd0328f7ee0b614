"""Tags of words and the spans that they mark: every common scheme is read, and written.

A tag is a letter and a type (``B-person``, ``B_person``, ``person-B``), ``O`` outside of any span, or a type alone.

    io      I inside, so that two spans of a type that touch become one; also types alone
    iob1    B only where a span touches one of the same type before it (Ramshaw and Marcus 1995)
    iob2    B begins every span; also called BIO (Tjong Kim Sang and Veenstra 1999)
    iobes   E ends a span, S is one of a single word; also written BILOU, BMEWO, BMES

One reading fits all of them. Where tags break their scheme, it repairs them as conlleval and seqeval do: a span begins at
the first word inside, and ends before a word of another type.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from tunesmith.text.spans import Span

Scheme = Literal["iob2", "iobes", "io", "iob1"]

Aggregation = Literal["mean", "average", "min", "max", "product", "first", "simple", "none"]
"""How what is known of words becomes entities, see the request parameter ``aggregation`` of token classification."""

NAMELESS = "entity"
"""The type of tags that are a letter alone."""

_LETTER_OF = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
_LETTERS: dict[Scheme, str] = {"iob2": "OBI", "iobes": "OBIES", "io": "OI", "iob1": "OBI"}
_FORMS = re.compile(r"(?P<a>[BIMELSUW])[-_](?P<b>.+)|(?P<d>.+)[-_](?P<c>[BIMELSUW])|(?P<e>[BIMELSUW])", re.DOTALL)

# A letter that only one scheme has, E or S, speaks more for it than letters in wrong places speak against it.
_ENDS_COUNT = 10

Tag = tuple[str, str]
_OUTSIDE: Tag = ("O", "")


@functools.lru_cache(maxsize=4096)
def parse(tag: str) -> Tag:
    """Letter (O, B, I, E or S) and type of a tag.

    >>> parse("B-person"), parse("U-person"), parse("person"), parse("O")
    (('B', 'person'), ('S', 'person'), ('I', 'person'), ('O', ''))

    Raises:
        ValueError: it is blank, or a number, whose name is not known.
    """
    if tag in ("O", "o"):
        return _OUTSIDE
    if not tag.strip() or tag.strip().isdecimal():
        raise ValueError(f"{tag!r} is no tag")
    form = _FORMS.fullmatch(tag)
    if form is None:
        return "I", tag
    return _LETTER_OF[form["a"] or form["c"] or form["e"]], form["b"] or form["d"] or NAMELESS


def read(tags: Sequence[str]) -> list[Span]:
    """The spans that tags mark, in numbers of words.

    >>> read(["B-person", "I-person", "O", "I-place"])
    [Span(start=0, end=2, type='person'), Span(start=3, end=4, type='place')]

    Raises:
        ValueError: as of ``parse``.
    """
    found: list[Span] = []
    start, before = -1, _OUTSIDE
    for place, tag in enumerate([*tags, "O"]):
        now = parse(tag)
        if start >= 0 and (before[0] in "ES" or now[0] in "OBS" or now[1] != before[1]):
            found.append(Span(start, place, before[1]))
            start = -1
        if start < 0 and now[0] != "O":
            start = place
        before = now
    return found


def write(spans: Iterable[Span], count: int, scheme: Scheme = "iob2") -> list[str]:
    """The tags of ``count`` words that mark spans which do not overlap.

    >>> write([Span(0, 2, "person")], 3), write([Span(0, 2, "person")], 3, "iobes")
    (['B-person', 'I-person', 'O'], ['B-person', 'E-person', 'O'])
    """
    tags = ["O"] * count
    before = Span(0, -1, "")
    for span in sorted(spans):
        letters = ["I"] * (span.end - span.start)
        if scheme in ("iob2", "iobes") or (scheme == "iob1" and (before.end, before.type) == (span.start, span.type)):
            letters[0] = "B"
        if scheme == "iobes":
            letters[-1] = "E" if len(letters) > 1 else "S"
        tags[span.start : span.end] = [f"{letter}-{span.type}" for letter in letters]
        before = span
    return tags


def illegal(tags: Sequence[str], scheme: Scheme) -> list[int]:
    """Numbers of the words whose tag breaks the scheme; ``len(tags)`` where the last span is not closed.

    >>> illegal(["O", "I-person", "O"], "iob2"), illegal(["O", "I-person", "O"], "io")
    ([1], [])
    """
    parsed = [_OUTSIDE, *map(parse, tags), _OUTSIDE]
    return [place for place, (before, now) in enumerate(itertools.pairwise(parsed)) if not follows(before, now, scheme)]


def follows(before: Tag, now: Tag, scheme: Scheme) -> bool:
    """Whether a word may have this tag after one with that; ``("O", "")`` also stands for the text's start and end."""
    if now[0] not in _LETTERS[scheme]:
        return False
    if scheme == "iob2":
        return now[0] != "I" or (before[0] != "O" and before[1] == now[1])
    if scheme == "iobes":
        return (before[0] in "BI") == (now[0] in "IE") and (now[0] not in "IE" or before[1] == now[1])
    if scheme == "iob1":
        return now[0] != "B" or before[1] == now[1]
    return True


def detect(rows: Iterable[Sequence[str]]) -> Scheme:
    """The scheme that rows of tags break least often.

    >>> detect([["O", "I-person", "I-person"], ["S-place"]]), detect([["B-place", "O"]]), detect([["person", "O"]])
    ('iobes', 'iob2', 'io')
    """
    breaks = dict.fromkeys(get_args(Scheme), 0)
    for tags in rows:
        if any(tag != "O" for tag in tags):
            for scheme in breaks:
                ends = 0 if scheme == "iobes" else sum(parse(tag)[0] in "ES" for tag in tags)
                breaks[scheme] += len(illegal(tags, scheme)) + _ENDS_COUNT * ends
    return min(breaks, key=lambda scheme: breaks[scheme])


def labels(types: Iterable[str], scheme: Scheme = "iob2") -> list[str]:
    """All tags of a scheme for some types, ``O`` first: what a model chooses among.

    >>> labels(["person"]), labels(["person"], "iobes")
    (['O', 'B-person', 'I-person'], ['O', 'B-person', 'I-person', 'E-person', 'S-person'])
    """
    return ["O", *(f"{letter}-{name}" for name in types for letter in _LETTERS[scheme][1:])]
