"""Texts with marked pieces, as people's files hold them: words and tags, or a text and its entities.

tokens     a list of words, such a list as JSON, or words with spaces between them
tags       the same of tags, one a word
entities   [{start, end, type}], [[start, end, type]], {type: {mention: [[first, last]]}}, or one of these as JSON;
characters of the text, or words where there are tokens and no text
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.text import spans as places_of
from tunesmith.text import tags as schemes
from tunesmith.text.cells import RowError, is_missing, text_of
from tunesmith.text.spans import Place, Span

_TYPE_KEYS = ("type", "label", "entity")
_EXTRA_KEYS = ("text", "score", "id")


@dataclass(frozen=True)
class Marked:
    """A text with its marked pieces.

    Args:
        text: as given, or the words joined.
        spans: marked pieces in characters, by their place; they do not overlap.
        words: the words where they were given, else None.
        tags: the tags where they were given, else None.
    """

    text: str
    spans: list[Span]
    words: list[str] | None = None
    tags: list[str] | None = None


def read(row: Mapping[str, Any]) -> Marked:
    """A row with its marks; ``text``, ``tokens``, ``tags`` and ``entities`` may each be there, and must agree.

    Raises:
        RowError: they do not, or something is missing or ill-formed.
    """
    text, words = read_text(row)
    places = None if words is None else _places(words, text)
    if text is None:
        text = places_of.join(words or ())[0]
    tags = _given(row, "tags", lambda cell: _strings(cell, "tags"))
    found = [] if tags is None else [_of_tags(tags, places)]
    if not is_missing(row.get("entities")):
        in_words = is_missing(row.get("text"))
        found.append(sorted(read_entities(row["entities"], text, places if in_words else None)))
    if not found:
        raise RowError("entities", "is missing; write [] where a text has none")
    if places is not None:
        _check_borders(text, places, found[-1])
    if found[0] != found[-1]:
        raise RowError("entities", "and tags mark different pieces", _difference(text, *found))
    return Marked(text, found[-1], words, tags)


def unmarked(text: str | None, words: list[str] | None) -> Marked:
    """A text without marks, from what ``read_text`` gives."""
    return Marked(places_of.join(words or ())[0] if text is None else text, [], words)


def read_text(row: Mapping[str, Any]) -> tuple[str | None, list[str] | None]:
    """The text and the words of a row, as far as they are given, and at least one of them.

    Raises:
        RowError: neither is there, one is ill-formed, or the words are not those of the text.
    """
    words = _given(row, "tokens", lambda cell: _strings(cell, "tokens"))
    text = None if is_missing(row.get("text")) else text_of(row, "text")
    if words is None and text is None:
        first, second = ("text", "tokens") if is_missing(row.get("tags")) else ("tokens", "text")
        raise RowError(first, f"is missing, and so is {second}")
    if words is not None:
        _check_words(words)
        if text is not None and _places(words, text) is None:
            raise RowError("tokens", "are not the words of the text, one after another")
    return text, words


def read_entities(cell: Any, text: str, words: Sequence[Place] | None = None) -> list[Span]:
    """Marked pieces of a text in characters, in the order given, since relations refer to them by number.

    Args:
        cell: in any of the forms above.
        text: that they mark.
        words: places of the words, where starts and ends are numbers of words.

    Raises:
        RowError: a piece is ill-formed, empty, outside of the text or touches another.
    """
    length = len(text) if words is None else len(words)
    found, mentions = [], []
    for number, item in enumerate(_items(_parsed(cell)), 1):
        start, end, name, mention = _fields(item, f"entity {number}")
        here = f"entity {number}, {start} to {end}"
        if start >= end:
            raise RowError("entities", "one ends before or where it starts", here)
        if start < 0 or end > length:
            unit = "characters" if words is None else "tokens"
            raise RowError("entities", "one is outside of the text", f"{here} of {length} {unit}")
        found.append(Span(start, end, name))
        mentions.append((here, mention))
    if both := places_of.overlapping(found):
        raise RowError("entities", "overlap", " and ".join(f"{start} to {end}" for start, end, _ in both))
    found = found if words is None else places_of.in_characters(words, found)
    for (start, end, _), (here, mention) in zip(found, mentions, strict=True):
        if mention is not None and mention != text[start:end]:
            raise RowError("entities", "have another text than stands there", f"{here}: {text[start:end]!r}")
    return found


def _given(row: Mapping[str, Any], column: str, read_cell: Any) -> Any:
    cell = row.get(column)
    return None if is_missing(cell) else read_cell(cell)


def _strings(cell: Any, column: str) -> list[str]:
    if isinstance(cell, str):
        listed = _listed(cell)
        cell = cell.split() if listed is None else listed
    if not isinstance(cell, (list, tuple)):
        raise RowError(column, "is neither a list nor text")
    for number, item in enumerate(cell, 1):
        if isinstance(item, bool) or not isinstance(item, (str, int, float)):
            raise RowError(column, "holds something that is no text", f"number {number}: {item!r}")
        if column == "tags" and not isinstance(item, str):
            raise RowError(column, "are numbers, whose names are not known", f"number {number}: {item!r}")
    return [str(item) for item in cell]


def _listed(cell: str) -> list[Any] | None:
    """A list that was written as text, by JSON or by Python."""
    if not (cell.lstrip().startswith("[") and cell.rstrip().endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(cell.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else None
    return None


def _check_words(words: Sequence[str]) -> None:
    if not "".join(words).strip():
        raise RowError("tokens", "is blank")
    letters = all(len(word) == 1 for word in words)
    for number, word in enumerate(words, 1):
        if not word or not (letters or word.strip()):
            raise RowError("tokens", "hold a blank one", f"number {number}")


def _places(words: Sequence[str], text: str | None) -> list[Place] | None:
    return places_of.join(words)[1] if text is None else places_of.locate(words, text)


def _check_borders(text: str, places: Sequence[Place], found: Sequence[Span]) -> None:
    whole = set(places_of.in_characters(places, places_of.cut_words(places, found)))
    for span in found:
        if span not in whole:
            here = f"{text[span.start : span.end]!r}, {span.start} to {span.end}"
            raise RowError("entities", "one does not start and end where tokens do", here)


def _of_tags(tags: Sequence[str], places: Sequence[Place] | None) -> list[Span]:
    if places is None:
        raise RowError("tokens", "is missing, and there are tags")
    if len(tags) != len(places):
        raise RowError("tags", "are not as many as tokens", f"{len(tags)} tags, {len(places)} tokens")
    try:
        return places_of.in_characters(places, schemes.read(tags))
    except ValueError as error:
        raise RowError("tags", "hold what is no tag", str(error)) from None


def _parsed(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise RowError("entities", "is not JSON") from None


def _items(cell: Any) -> Iterator[Any]:
    """Single marks; the ends of ``{type: {mention: [[first, last]]}}`` are the last characters, not the ones after."""
    if isinstance(cell, Mapping):
        try:
            for name, mentions in cell.items():
                for mention, ranges in mentions.items():
                    for first, last in ranges:
                        yield {"start": first, "end": last + 1, "type": name, "text": mention}
        except (AttributeError, TypeError, ValueError):
            raise RowError("entities", "is neither a list nor {type: {mention: [[first, last]]}}") from None
    elif isinstance(cell, (list, tuple)):
        yield from cell
    else:
        raise RowError("entities", "is no list")


def _fields(item: Any, here: str) -> tuple[int, int, str, str | None]:
    """Start, end, type and (where it is given) the text of a mark."""
    if isinstance(item, (list, tuple)) and len(item) == 3:
        item = dict(zip(("start", "end", "type"), item, strict=True))
    if not isinstance(item, Mapping):
        raise RowError("entities", "hold what is neither {start, end, type} nor [start, end, type]", here)
    unknown = [key for key in item if key not in ("start", "end", *_TYPE_KEYS, *_EXTRA_KEYS)]
    if unknown:
        raise RowError("entities", "hold keys that are not known", f"{here}: {', '.join(map(str, unknown))}")
    names = [item[key] for key in _TYPE_KEYS if item.get(key) is not None]
    for name, value in (("start", item.get("start")), ("end", item.get("end"))):
        if isinstance(value, bool) or not isinstance(value, int):
            raise RowError("entities", f"have no whole number as {name}", f"{here}: {value!r}")
    if len(names) != 1 or not isinstance(names[0], str) or not names[0].strip():
        raise RowError("entities", "have no type, or no one type", here)
    return item["start"], item["end"], names[0], item.get("text")


def _difference(text: str, tagged: Sequence[Span], marked: Sequence[Span]) -> str:
    alone = next(iter(sorted(set(tagged) ^ set(marked))))
    by = "tags" if alone in tagged else "entities"
    return f"only {by} have {text[alone.start : alone.end]!r} as {alone.type}"
