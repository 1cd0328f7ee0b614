"""The request parameters that differ from a bundle's own, as a log may tell them: what callers wrote is hidden."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

if TYPE_CHECKING:
    from tunesmith.serving.models import Served


@dataclass(frozen=True)
class _Usual:
    """Of a model: its own request parameters, and the names of those that may hold what callers write."""

    values: Mapping[str, Any]
    free: frozenset[str]


_KNOWN: weakref.WeakKeyDictionary[Served, _Usual] = weakref.WeakKeyDictionary()


def changed(served: Served, parameters: Mapping[str, Any], *, texts: bool) -> dict[str, Any]:
    """Those that differ.

    Args:
        served: the model.
        parameters: as they took effect, as JSON.
        texts: whether to tell what callers wrote, such as stop strings and schemas, or only how much of it there is.
    """
    if not parameters:
        return {}
    usual = _KNOWN.get(served)
    if usual is None:
        usual = _KNOWN[served] = _usual(served)
    found = {name: value for name, value in parameters.items() if usual.values.get(name) != value}
    return found if texts else {name: _hidden(value) if name in usual.free else value for name, value in found.items()}


def _usual(served: Served) -> _Usual:
    request = served.model.request()
    fields = {field.alias or name: field.annotation for name, field in type(request).model_fields.items()}
    free = frozenset(name for name, annotation in fields.items() if _is_free(annotation))
    return _Usual(request.model_dump(mode="json", by_alias=True), free)


def _is_free(annotation: Any) -> bool:
    """Whether a value of a type can hold any text.

    >>> _is_free(str | None), _is_free(tuple[Literal["a"], ...]), _is_free(float | None)
    (True, False, False)
    """
    if get_origin(annotation) is Literal:
        return False
    inner = [one for one in get_args(annotation) if isinstance(one, type) or get_args(one)]
    return any(map(_is_free, inner)) if inner else annotation not in (int, float, bool, type(None))


def _hidden(value: Any) -> Any:
    """How much there is, instead of what.

    >>> _hidden(["END", "stop"]), _hidden({"a": 1}), _hidden(3)
    (['<3 characters>', '<4 characters>'], '<1 entries>', 3)
    """
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    return [_hidden(one) for one in value] if isinstance(value, (list, tuple)) else value
