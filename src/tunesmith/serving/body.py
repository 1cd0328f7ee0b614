"""Strict JSON: UTF-8, one object, no deeper than people write, numbers that are numbers, and whole characters."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from tunesmith.serving.refusal import Refusal

_DEEPEST = 64
_LARGEST, _MOST_DIGITS = 2**63, 20
_SHOWN = 100
_SMALL_BYTES = 64 << 10
"""Larger bodies are parsed beside the loop: a megabyte of numbers takes a tenth of a second, in which others are answered."""
_HALF_WRITTEN = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = re.compile("[\ud800-\udfff]")


async def read(request: Request, most_bytes: int, timeout_s: float) -> dict[str, Any]:
    """The object in a request's body.

    Args:
        request: whose body it is.
        most_bytes: how large it may be.
        timeout_s: how long it may take to arrive.

    Raises:
        Refusal: it is too large or too slow, no JSON, or no object.
        ClientDisconnect: whoever sent it is gone.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(f"the body is {kind[:_SHOWN]}", "unsupported_media_type", 415, hint="send application/json")
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", ""):
        raise Refusal(f"the body is packed ({packed[:_SHOWN]})", "unsupported_media_type", 415, hint="send it as it is")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most_bytes:
        raise _too_large(most_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            content = await _whole(request, most_bytes)
            return parse(content) if len(content) <= _SMALL_BYTES else await asyncio.to_thread(parse, content)
    except TimeoutError:
        raise Refusal(f"the body was not there after {timeout_s:g} seconds", "body_too_slow", 408) from None


async def _whole(request: Request, most_bytes: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most_bytes:
            raise _too_large(most_bytes)
        pieces.append(piece)
    return b"".join(pieces)


def parse(content: bytes) -> dict[str, Any]:
    """The object that some bytes hold.

    Raises:
        Refusal: they hold none.

    >>> parse(b'{"model": "reviews"}')
    {'model': 'reviews'}
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_json(f"byte {error.start} is no UTF-8") from None
    try:
        found = json.loads(
            text, parse_int=_integer, parse_float=_number, parse_constant=_no_number, object_pairs_hook=_once
        )
    except RecursionError:
        raise _no_json("it is nested too deep") from None
    except ValueError as error:
        raise _no_json(str(error)) from None
    if not isinstance(found, dict):
        raise _no_json(f"it is a {type(found).__name__}, not an object")
    if _is_deep(found):
        raise _no_json(f"it is nested deeper than {_DEEPEST}")
    if _HALF_WRITTEN.search(text) and _HALF.search(json.dumps(found, ensure_ascii=False)):
        raise _no_json("it holds half of a character (a lone surrogate)")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names: set[str] = set()
        twice = next(name for name, _ in pairs if name in names or names.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:_SHOWN]!r} stands there twice")
    return found


def _integer(digits: str) -> int | float:
    """A whole number, or, as in JavaScript, a floating-point one where 64 bits cannot hold it."""
    number = int(digits) if len(digits) <= _MOST_DIGITS else _LARGEST
    return number if -_LARGEST <= number < _LARGEST else _number(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits[:_MOST_DIGITS]} is too large")
    return number


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _is_deep(found: Any) -> bool:
    level = [found]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (dict, list))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _no_json(why: str) -> Refusal:
    return Refusal(f"the body cannot be read: {why}", "invalid_json")


def _too_large(most_bytes: int) -> Refusal:
    return Refusal(f"the body is larger than {most_bytes:,} bytes", "body_too_large", 413)


__all__ = ["ClientDisconnect", "parse", "read"]
