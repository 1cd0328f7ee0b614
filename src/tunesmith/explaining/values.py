"""Which values of a parameter are looked at: a list, steps of a range, or the range that is declared with it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from tunesmith import kinds
from tunesmith.errors import UsageError
from tunesmith.params import Choices, Leaf, Range

_MOST = 200
_STEPS = 20
_LOGARITHMIC = 13
_RANGE = re.compile(r"\s*([^:,\s]+)\s*:\s*([^:,\s]+)\s*:\s*(?:(log)(\d+)|([^:,\s]+))\s*")


def asked(text: str, leaf: Leaf) -> list[Any]:
    """The values that a text names: ``0,0.5,1``, ``0:1.5:0.1`` in steps, or ``1:100:log7``, so many evenly in the logarithm.

    Raises:
        UsageError: it names none, or is no such text.
    """
    found = _RANGE.fullmatch(text)
    if ":" in text and found is None:
        raise _unreadable(text)
    values = _ranged(text, found, whole=_is_whole(leaf)) if found else _listed(text, leaf)
    if not values:
        raise UsageError("names no value", where="--values", hint=_HOW)
    if len(values) > _MOST:
        raise UsageError(f"names {len(values)} values", where="--values", hint=f"legal: at most {_MOST}")
    return values


def declared(leaf: Leaf) -> list[Any]:
    """The values of the range, or the choices, that are declared with a parameter; none where nothing is."""
    if isinstance(leaf.search, Choices):
        return list(leaf.search.values)
    if isinstance(leaf.search, Range):
        low, high = leaf.search.low, leaf.search.high
        return _logarithmic(low, high, _LOGARITHMIC, _is_whole(leaf)) if leaf.search.log else _stepped(low, high, leaf)
    options = kinds.alternatives(leaf.annotation)
    if bool in options:
        return [False, True]
    return list(leaf.choices)


def _listed(text: str, leaf: Leaf) -> list[Any]:
    return [kinds.from_text(part, leaf.annotation) for part in kinds.listed(text, "--values")]


def _ranged(text: str, found: re.Match[str], *, whole: bool) -> list[Any]:
    try:
        low, high = float(found[1]), float(found[2])
        if found[3]:
            return _logarithmic(low, high, int(found[4]), whole)
        return _in_steps(low, high, float(found[5]), whole)
    except (ValueError, OverflowError):
        raise _unreadable(text) from None


def _stepped(low: float, high: float, leaf: Leaf) -> list[Any]:
    """A declared range in round steps, at most twenty of them."""
    width = high - low
    smallest = 10.0 ** math.floor(math.log10(width / _STEPS))
    steps = [smallest * factor for factor in (1, 2, 2.5, 5, 10, 20, 25, 50)]
    fits = [s for s in steps if width / s <= _STEPS + 1e-9 and abs(width / s - round(width / s)) < 1e-9]
    return _in_steps(low, high, fits[0] if fits else width / _STEPS, _is_whole(leaf))


def _in_steps(low: float, high: float, step: float, whole: bool) -> list[Any]:
    if not step > 0 or high < low:
        raise ValueError
    count = math.floor((high - low) / step + 1e-9) + 1
    return _numbers([low + number * step for number in range(min(count, 10 * _MOST))], whole)


def _logarithmic(low: float, high: float, count: int, whole: bool) -> list[Any]:
    if not 0 < low <= high or count < 1:
        raise ValueError
    ratio = (high / low) ** (1 / max(1, count - 1))
    return _numbers([low * ratio**number for number in range(count)], whole)


def _numbers(values: Sequence[float], whole: bool) -> list[Any]:
    """Each once, without the noise of adding up."""
    return list(dict.fromkeys(round(value) if whole else float(f"{value:.6g}") for value in values))


def _is_whole(leaf: Leaf) -> bool:
    options = kinds.alternatives(leaf.annotation)
    return int in options and float not in options


_HOW = "write a list 0,0.5,1, a range with its step 0:1.5:0.1, or one with so many values 1:100:log7"


def _unreadable(text: str) -> UsageError:
    return UsageError(f"{text!r} is no list and no range of values", where="--values", hint=_HOW)
