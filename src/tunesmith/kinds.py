"""Types of values: how a flag's text is read as one, and what values are legal, in words."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from tunesmith.errors import UsageError


@dataclass(frozen=True)
class Legal:
    """Annotates a type with its legal values in words, where they cannot be told from the type itself."""

    words: str


def listed(text: str, where: str) -> tuple[str, ...]:
    """The values between commas.

    Raises:
        UsageError: there is nothing between two commas, or beside one.

    >>> listed("0.8, 1", "--top_p")
    ('0.8', '1')
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UsageError(f"{text!r} has no value beside a comma", where=where, hint="write a,b,c")
    return parts


def from_text(text: str, annotation: Any) -> Any:
    """Read a flag's or variable's text as the declared type would have it in YAML.

    Lists may be written ``a,b,c``; ``none`` unsets an optional parameter and empties a list. Everything else stays text for the check.

    >>> from_text("a, b", tuple[str, ...]), from_text("none", float | None), from_text("3e-5", float)
    (['a', 'b'], None, '3e-5')
    """
    kinds = alternatives(annotation)
    is_list = any(_is_list(kind) for kind in kinds)
    if text.strip().lower() in ("none", "null") and (is_list or type(None) in kinds):
        return None if type(None) in kinds else []
    if text.strip()[:1] in ("[", "{") and (is_list or any(_is_mapping(kind) for kind in kinds)):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    if is_list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types that a value may have.

    >>> alternatives(float | None)
    (<class 'float'>, <class 'NoneType'>)
    """
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return tuple(part for option in get_args(annotation) for part in alternatives(option))
    return (annotation,)


def legal(field: FieldInfo, choices: tuple[str, ...], *, only_choices: bool = False) -> str:
    """The legal values of a field in words.

    Args:
        field: as pydantic knows it.
        choices: the values of its ``Literal``, or the names of plugins.
        only_choices: nothing else is legal, although the type allows it.

    >>> legal(FieldInfo.from_annotation(float | None), ())
    'number or none'
    """
    kinds = alternatives(field.annotation)
    inside = (mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ()))
    metadata = [mark for each in (*field.metadata, *inside) for mark in getattr(each, "metadata", (each,))]
    words = [mark.words for mark in metadata if isinstance(mark, Legal)]
    if choices:
        words.append(f"one of {', '.join(choices)}")
    if not only_choices and (choices or not words):
        words += [
            _words(kind, metadata) for kind in kinds if kind is not type(None) and get_origin(kind) is not Literal
        ]
    return " or ".join([*words, *(["none"] if type(None) in kinds else [])])


def _words(kind: Any, metadata: list[Any]) -> str:
    if _is_list(kind) or _is_mapping(kind):
        return "list" if _is_list(kind) else "mapping"
    name = {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(kind, str(kind))
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    limits = [(sign, getattr(mark, key, None)) for mark in metadata for key, sign in signs.items()]
    bounds = " and ".join(dict.fromkeys(f"{sign} {limit:g}" for sign, limit in limits if limit is not None))
    return f"{name} {bounds}" if bounds else name


def _is_list(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (list, tuple, set, frozenset)


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) is dict
