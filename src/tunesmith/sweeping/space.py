"""The parameters that a sweep varies, and the values of each.

``0.8,0.95,1`` are values, ``0:1.4:0.2`` goes from the first to the second in steps, ``1:100:log5`` are five values spaced
logarithmically, ``0:1`` (``:log``) is a range for designs that draw from one; one value is the same in all settings. A
parameter that holds a list takes ``[["a"], ["a", "b"]]`` for two values, one that holds a mapping ``[null, {...}]``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_origin

from tunesmith import kinds, params
from tunesmith.errors import Problem, TunesmithError, UsageError, did_you_mean
from tunesmith.given import Given
from tunesmith.params import Choices, Leaf, Params, Range
from tunesmith.search import space

_NUMBER = r"\s*([^:,\s]+)\s*"
_STEPS = re.compile(f"{_NUMBER}:{_NUMBER}:{_NUMBER}")
_COUNT = re.compile(f"{_NUMBER}:{_NUMBER}:\\s*(log|lin)(\\d+)\\s*")
_MOST_VALUES = 200


@dataclass(frozen=True)
class Axis:
    """A parameter that is varied: its values, or the range that they are drawn from."""

    name: str
    values: tuple[Any, ...] = ()
    range: Range | None = None
    whole: bool = False


@dataclass(frozen=True)
class Space:
    """What is varied, and what is the same in all settings."""

    axes: tuple[Axis, ...]
    fixed: Mapping[str, Any]


def read(group: type[Params], texts: Mapping[str, str]) -> Space:
    """Divide flags into parameters that are varied and those that are not.

    Args:
        group: the ``Request`` of a task.
        texts: text by name.

    Raises:
        UsageError: unknown parameters, empty ranges, illegal values; all are named.
    """
    leaves = {leaf.path: leaf for leaf in params.leaves(group)}
    problems: list[Problem] = []
    axes, fixed = [], {}
    for name, text in params.by_first_name(group, texts).items():
        if name not in leaves:
            problems.append(Problem(f"unknown parameter '{name}'", f"--{name}", did_you_mean(name, list(leaves))))
            continue
        try:
            axis = _axis(group, leaves[name], text)
        except UsageError as error:
            problems += error.problems or [error.headline]
            continue
        if axis.range is None and len(axis.values) == 1:
            fixed[name] = axis.values[0]
        else:
            axes.append(axis)
    if problems:
        few = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError(f"{few} with what is to be varied", problems=problems)
    if not axes:
        hint = "give a parameter several values: --temperature 0:1.4:0.2 or --top_p 0.8,0.95,1"
        raise UsageError("nothing is varied", hint=hint)
    return Space(tuple(axes), fixed)


def _axis(group: type[Params], leaf: Leaf, text: str) -> Axis:
    where = f"--{leaf.path}"
    whole = int in kinds.alternatives(leaf.annotation) and float not in kinds.alternatives(leaf.annotation)
    numeric = bool({int, float} & set(kinds.alternatives(leaf.annotation)))
    if numeric and (values := _spread(text, where, whole)) is not None:
        return Axis(leaf.path, _legal(group, leaf, values, where), whole=whole)
    found = _listed(leaf, text, where) or space.asked(Given(text, where, text=True), leaf)
    if isinstance(found, Range):
        _legal(group, leaf, (found.low, found.high) if not whole else (int(found.low), int(found.high)), where)
        return Axis(leaf.path, range=found, whole=whole)
    values = found.values if isinstance(found, Choices) else (text,)
    return Axis(leaf.path, _legal(group, leaf, values, where), whole=whole)


def _spread(text: str, where: str, whole: bool) -> tuple[Any, ...] | None:
    """The values of ``START:STOP:STEP`` and of ``LOW:HIGH:log5``; None: it is neither."""
    counted = _COUNT.fullmatch(text)
    stepped = _STEPS.fullmatch(text)
    if counted is None and (stepped is None or stepped[3] == "log"):
        return None
    found = counted or stepped
    assert found is not None
    try:
        low, high = float(found[1]), float(found[2])
        step = 0.0 if counted else float(found[3])
    except ValueError:
        hint = "write START:STOP:STEP, LOW:HIGH:log5, LOW:HIGH or a,b,c"
        raise UsageError(f"{text!r} is no range of numbers", where=where, hint=hint) from None
    if not all(map(math.isfinite, (low, high, step))) or not low < high:
        raise UsageError(f"a range goes up: {found[1]} is not below {found[2]}", where=where)
    if counted:
        values = _counted(low, high, counted[3] == "log", int(counted[4]), where)
    else:
        values = _stepped(low, high, step, text, where)
    values = tuple(round(value) for value in values) if whole and _are_whole(values, counted is not None) else values
    return tuple(dict.fromkeys(values))


def _are_whole(values: tuple[float, ...], rounded: bool) -> bool:
    return rounded or all(value == int(value) for value in values)


def _stepped(low: float, high: float, step: float, text: str, where: str) -> tuple[float, ...]:
    if step <= 0:
        raise UsageError(f"a step is above 0, not {step:g}", where=where)
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > _MOST_VALUES:
        raise UsageError(f"{text} are {count:,} values", where=where, hint=f"legal: up to {_MOST_VALUES}")
    return tuple(float(f"{low + number * step:.12g}") for number in range(count))


def _counted(low: float, high: float, log: bool, count: int, where: str) -> tuple[float, ...]:
    if not 2 <= count <= _MOST_VALUES:
        raise UsageError(f"{count} values of a range", where=where, hint=f"legal: 2 to {_MOST_VALUES}")
    if log and low <= 0:
        raise UsageError(f"a logarithmic range begins above 0, not at {low:g}", where=where)
    shares = [number / (count - 1) for number in range(count)]
    values = [low * (high / low) ** share if log else low + (high - low) * share for share in shares]
    return (low, *(float(f"{value:.6g}") for value in values[1:-1]), high)


def _listed(leaf: Leaf, text: str, where: str) -> Choices | None:
    """The values of a parameter that holds a list or a mapping, which commas do not part."""
    forms = {get_origin(kind) or kind for kind in kinds.alternatives(leaf.annotation)}
    if not forms & {list, tuple, dict}:
        return None
    value = kinds.from_text(text, leaf.annotation)
    kind = list if forms & {list, tuple} else dict
    if isinstance(value, list) and value and all(one is None or isinstance(one, kind) for one in value):
        return Choices(tuple(value))
    if dict in forms and forms & {int, float} and isinstance(value, str):
        return Choices(kinds.listed(value, where)) if "," in value else None
    return Choices((value,))


def _legal(group: type[Params], leaf: Leaf, values: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    """The values as the parameter holds them, each once."""
    found: list[Any] = []
    problems: list[Problem] = []
    for value in values:
        given = kinds.from_text(value, leaf.annotation) if isinstance(value, str) else value
        try:
            one = getattr(params.check(group, {leaf.path: given}, {leaf.path: where}), _field(group, leaf.path))
        except TunesmithError as error:
            problems += error.problems or [error.headline]
            continue
        if not any(repr(one) == repr(other) for other in found):
            found.append(one)
    if problems:
        raise UsageError("illegal values", problems=problems)
    return tuple(found)


def _field(group: type[Params], name: str) -> str:
    """What the class calls a parameter."""
    return next(field for field, about in group.model_fields.items() if name in (field, about.alias))
