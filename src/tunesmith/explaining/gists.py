"""What answers of tasks that read say, so that they can be counted and compared, whatever the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.decisions.answers import UNKNOWN


def gist(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """What an answer says, without its scores.

    >>> gist({"label": "spam", "score": 0.9}), gist({"entities": [{"start": 0, "end": 3, "type": "name"}]})
    (('spam',), ('0-3 name',))
    """
    if "labels" in answer:
        return tuple(answer["labels"])
    if "entities" in answer:
        return tuple(_named(one) for one in (*answer.get("triples", ()), *answer["entities"]))
    if "words" in answer:
        return tuple(str(word.get("label")) for word in answer["words"])
    for key in ("label", "answer"):
        if key in answer:
            return (str(answer[key]),)
    return tuple(f"{answer[key]:.4f}" for key in ("value", "score") if key in answer)


def is_answer(answer: Mapping[str, Any]) -> bool:
    """Whether an answer says anything."""
    found = gist(answer)
    return any(found) and found != (UNKNOWN,)


def numbers(value: Any) -> Iterator[float]:
    """All numbers in an answer, in their order.

    >>> list(numbers({"label": "spam", "score": 0.9, "top": [{"score": 0.8}]}))
    [0.9, 0.8]
    """
    if isinstance(value, float | int) and not isinstance(value, bool):
        yield float(value)
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from numbers(inner)


def _named(one: Mapping[str, Any]) -> str:
    if "relation" in one:
        return f"({_named(one['head'])}, {one['relation']}, {_named(one['tail'])})"
    return f"{one['start']}-{one['end']} {one['type']}"
