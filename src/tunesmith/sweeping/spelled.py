"""Values of parameters as a user would write them, the long ones by a short name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

_LONGEST = 40


def value(one: object) -> str:
    """A value as a user would write it; a long mapping by its type and a few letters that tell it from others.

    >>> value(None), value(0.5), value(("a", "b")), value({"type": "json_object"})
    ('none', '0.5', 'a,b', '{"type": "json_object"}')
    """
    if one is None or isinstance(one, bool):
        return "none" if one is None else str(one).lower()
    if isinstance(one, tuple | list):
        return ",".join(map(str, one)) or "none"
    if isinstance(one, Mapping):
        text = whole(one)
        return (
            text
            if len(text) <= _LONGEST
            else f"{one.get('type', 'mapping')}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"
        )
    return f"{one:g}" if isinstance(one, float) else str(one)


def whole(one: Mapping[str, object]) -> str:
    """All of a mapping."""
    return json.dumps(one, ensure_ascii=False)
