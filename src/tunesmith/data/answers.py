"""What people write as the answers to a question about a text, and where in the text these stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

_NEAR_CHARACTERS = 50
_MOST_SHOWN = 40


class Answer(TypedDict):
    """A piece of the context: its text, and the character where it starts."""

    text: str
    start: int


def find(cell: Any, context: str) -> list[Answer]:
    """The answers that a cell gives, each at its place in the context, without spaces around it.

    Args:
        cell: ``{"text": [...], "answer_start": [...]}``, a list of ``{"text": ..., "answer_start": ...}``, a list of
            texts, one text, or any of these as JSON in a text. An empty list: the context does not answer.
        context: the text that answers.

    Raises:
        ValueError: an answer is not in the context, not where it is said to be, or in several places and none is said.

    >>> find({"text": ["noon"], "answer_start": [8]}, "open at noon")
    [{'text': 'noon', 'start': 8}]
    >>> find("noon", "open at noon"), find([], "open at noon")
    ([{'text': 'noon', 'start': 8}], [])
    """
    return [_placed(text, start, context) for text, start in _given(cell, context)]


def _given(cell: Any, context: str) -> Iterator[tuple[Any, Any]]:
    """The text and the start, or None, of each answer in a cell."""
    if isinstance(cell, str):
        parsed = _parsed(cell, context)
        yield from [(parsed, None)] if isinstance(parsed, str) else _given(parsed, context)
    elif isinstance(cell, Mapping):
        yield from _columns(cell)
    elif isinstance(cell, (list, tuple)):
        for one in cell:
            yield from _columns(one) if isinstance(one, Mapping) else [(one, None)]
    else:
        yield cell, None


def _parsed(cell: str, context: str) -> Any:
    """JSON where the cell is written like it, else the cell itself."""
    if cell.lstrip()[:1] not in ("[", "{"):
        return cell
    try:
        return json.loads(cell)
    except (json.JSONDecodeError, RecursionError):
        if cell.strip() in context:
            return cell
        raise ValueError(f"are neither JSON nor a text of the context: {_short(cell)}") from None


def _columns(cell: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Answers of one object: its texts beside its starts, or a single one of each."""
    if cell.get("text") is None:
        raise ValueError('have no "text"')
    texts, starts = cell["text"], cell.get("answer_start", cell.get("start"))
    if not isinstance(texts, (list, tuple)):
        yield texts, starts
        return
    starts = [None] * len(texts) if starts is None else starts
    if not isinstance(starts, (list, tuple)) or len(starts) != len(texts):
        count = len(starts) if isinstance(starts, (list, tuple)) else 1
        raise ValueError(f"have {len(texts)} texts and {count} starts")
    yield from zip(texts, starts, strict=True)


def _placed(text: Any, start: Any, context: str) -> Answer:
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        raise ValueError(f"hold {text!r} where a text should be")
    if not text.strip():
        raise ValueError("hold a blank text; write [] where the context does not answer")
    place = _only_place(text.strip(), context) if start is None else _number(start)
    if start is not None and context[max(0, place) : place + len(text)] != text:
        raise ValueError(_misplaced(text, place, context))
    shift = len(text) - len(text.lstrip()) if start is not None else 0
    return {"text": text.strip(), "start": place + shift}


def _number(start: Any) -> int:
    if isinstance(start, bool) or not isinstance(start, (int, float)) or start != int(start):
        raise ValueError(f"start at {start!r}, which is no number of a character")
    return int(start)


def _only_place(text: str, context: str) -> int:
    places = _places(text, context)
    if not places:
        raise ValueError(f"are not in the context: {_short(text)}")
    if len(places) > 1:
        shown = ", ".join(map(str, places[:5])) + (" ..." if len(places) > 5 else "")
        raise ValueError(f"are at several places of the context; say at which: {_short(text)} at {shown}")
    return places[0]


def _misplaced(text: str, place: int, context: str) -> str:
    """What stands where an answer should, and where it likely does."""
    there = context[max(0, place) : place + len(text)] if place >= 0 else ""
    message = f"are not where they should start: at {place} stands {_short(there) if there else 'nothing'}"
    places = _places(text, context)
    near = [found for found in places if abs(found - place) <= _NEAR_CHARACTERS] or places
    hint = f"which starts at {near[0]}" if len(near) == 1 else "which is elsewhere" if places else "which is nowhere"
    return f"{message} and not {_short(text)}, {hint}"


def _places(text: str, context: str) -> list[int]:
    return [match.start() for match in re.finditer(f"(?={re.escape(text)})", context)]


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= _MOST_SHOWN else f"{plain[: _MOST_SHOWN - 1]}…")
