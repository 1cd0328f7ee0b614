"""The search space: config parameters that hold a range instead of a value.

A range is written ``1e-5:1e-3``, with ``:log`` where it is to be spaced logarithmically; choices are written ``8,16,32``, and
``1e-5:1e-3:log5`` or ``0:0.4:5`` are the choices of five values from one end to the other.
In YAML a mapping ``{low: 1.0e-5, high: 1.0e-3, log: true}`` or a list says the same, and the word ``search`` takes the
range that is declared with the parameter. Where no parameter holds a range, all declared ones are searched whose value
was not given.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_origin

from tunesmith import config as configs
from tunesmith import kinds, params
from tunesmith.errors import Problem, UsageError
from tunesmith.given import Given
from tunesmith.params import Choices, Leaf, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from tunesmith.config import Config

SECTIONS = ("task", "model", "adapter", "train")
"""Sections whose declared ranges are searched where none is given."""

_DECLARED = "search"
_MOST_POINTS = 100
_SAME_ROWS = "every trial must learn from the same rows and be scored on the same rows"
_FIXED_SECTIONS = {"data": _SAME_ROWS, "columns": _SAME_ROWS, "track": "it changes no score", "out": "it is a folder"}
_FIXED = {
    "train.seed": "every trial has the same seed; the comparison at the end varies it",
    "train.metric": "all trials are compared by one metric",
    "train.threads": "it changes no score",
    "train.checkpoint_every": "it changes no score",
}
_RANGE = re.compile(r"\s*([^:,\s]+)\s*:\s*([^:,\s]+)\s*(?::\s*(log)?(\d+)?)?\s*")


@dataclass(frozen=True)
class Dimension:
    """A parameter that is searched.

    Args:
        path: its dotted name.
        range: what it may be.
        whole: whether it takes whole numbers.
        asked: whether the user gave the range, and not the declaration.
    """

    path: str
    range: Range | Choices
    whole: bool = False
    asked: bool = True

    def distribution(self) -> BaseDistribution:
        """As Optuna knows it; a choice that is no plain value goes by its JSON text."""
        from optuna import distributions

        if isinstance(self.range, Choices):
            return distributions.CategoricalDistribution([_label(value) for value in self.range.values])
        low, high, log = self.range.low, self.range.high, self.range.log
        if self.whole:
            return distributions.IntDistribution(int(low), int(high), log=log)
        return distributions.FloatDistribution(low, high, log=log)

    def value(self, label: Any) -> Any:
        """The value that Optuna calls ``label``."""
        if isinstance(self.range, Choices):
            return next(value for value in self.range.values if _same(_label(value), label))
        return label

    def nearest(self, value: Any) -> Any:
        """What Optuna calls the legal value that is nearest to one; where nothing is near, the first choice."""
        if isinstance(self.range, Choices):
            labels = [_label(each) for each in self.range.values]
            if any(_same(label, _label(value)) for label in labels):
                return _label(value)
            numbers = [label for label in labels if _is_number(label)]
            return min(numbers, key=lambda label: abs(label - value)) if numbers and _is_number(value) else labels[0]
        low, high = self.range.low, self.range.high
        found = min(max(value, low), high) if _is_number(value) else self._middle()
        return round(found) if self.whole else float(found)

    def holds(self, value: Any) -> bool:
        """Whether a value is among those that are searched."""
        if isinstance(self.range, Choices):
            return any(_same(_label(each), _label(value)) for each in self.range.values)
        return _is_number(value) and self.range.low <= value <= self.range.high

    def points(self, count: int) -> list[Any]:
        """``count`` values spread over the range, or all choices."""
        if isinstance(self.range, Choices):
            return [_label(value) for value in self.range.values]
        low, high, log = self.range.low, self.range.high, self.range.log
        steps = [place / (count - 1) for place in range(count)]
        spread = [low * (high / low) ** step if log else low + (high - low) * step for step in steps]
        spread = [min(max(each, low), high) for each in spread]
        return list(dict.fromkeys(round(each) if self.whole else each for each in spread))

    @property
    def scale(self) -> str:
        """``linear``, ``log`` or ``choices``."""
        if isinstance(self.range, Choices):
            return "choices"
        return "log" if self.range.log else "linear"

    def words(self) -> str:
        """The range as a user would write it."""
        if isinstance(self.range, Choices):
            return ", ".join("none" if value is None else str(value) for value in self.range.values)
        return f"{self.range.low:g} to {self.range.high:g}{', log' if self.range.log else ''}"

    def _middle(self) -> float:
        assert isinstance(self.range, Range)
        low, high = self.range.low, self.range.high
        return math.sqrt(low * high) if self.range.log else (low + high) / 2


@dataclass(frozen=True)
class Space:
    """All parameters that are searched."""

    dimensions: tuple[Dimension, ...]

    def distributions(self) -> dict[str, BaseDistribution]:
        """By dotted name, as Optuna knows them."""
        return {dimension.path: dimension.distribution() for dimension in self.dimensions}

    def values(self, labels: Mapping[str, Any]) -> dict[str, Any]:
        """Config values, by dotted name, of what Optuna chose."""
        return {one.path: one.value(labels[one.path]) for one in self.dimensions if one.path in labels}

    def nearest(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The place in the space that is nearest to some config values, as Optuna calls it."""
        return {one.path: one.nearest(values.get(one.path)) for one in self.dimensions}

    def outside(self, values: Mapping[str, Any]) -> list[Dimension]:
        """The dimensions in which some config values lie outside."""
        return [one for one in self.dimensions if not one.holds(values.get(one.path))]

    def grid(self, points: int) -> Iterator[dict[str, Any]]:
        """Every combination of values, ``points`` of each range."""
        columns = [one.points(points) for one in self.dimensions]
        for row in itertools.product(*columns):
            yield dict(zip((one.path for one in self.dimensions), row, strict=True))

    def without(self, paths: set[str]) -> Space:
        """The space without some dimensions."""
        return Space(tuple(one for one in self.dimensions if one.path not in paths))

    def to_json(self) -> dict[str, Any]:
        """As plain values, which ``from_json`` reads."""
        return {one.path: _plain(one) for one in self.dimensions}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Space:
        """Read what ``to_json`` gave."""
        return Space(tuple(_dimension(path, **row) for path, row in values.items()))


def read(merged: Mapping[str, Given]) -> tuple[Config, Space]:
    """Divide given values into the config that all trials share, and the ranges.

    Args:
        merged: given values by dotted name, as ``config.merge_call`` gives them.

    Raises:
        UsageError: the config is not legal, a range is not, or a parameter cannot be searched.
    """
    group = configs.class_given(merged)
    leaves = {leaf.path: leaf for leaf in params.leaves(group)}
    problems: list[Problem] = []
    ranges: dict[str, Range | Choices] = {}
    for path, one in merged.items():
        try:
            if path in leaves and (found := _range(one, leaves[path])) is not None:
                ranges[path] = found
        except UsageError as error:
            problems.append(error.headline)
    if problems:
        raise UsageError(_headline(problems), problems=problems)
    fixed = {path: one for path, one in merged.items() if path not in ranges}
    config = configs.build(fixed)
    asked = bool(ranges)
    if not asked:
        ranges = {
            leaf.path: leaf.search
            for leaf in leaves.values()
            if leaf.search and leaf.path.partition(".")[0] in SECTIONS and leaf.path not in merged
        }
    origins = {path: merged[path].origin if path in merged else "its declaration" for path in ranges}
    checked = {path: _checked(fixed, leaves[path], ranges[path], origins[path], problems) for path in ranges}
    if problems:
        raise UsageError(_headline(problems), problems=problems)
    found_dimensions = (Dimension(path, one, _is_whole(leaves[path]), asked) for path, one in checked.items())
    return config, Space(tuple(found_dimensions))


def value_at(config: Config, path: str) -> Any:
    """The value of a parameter by its dotted name."""
    section, _, name = path.partition(".")
    values = getattr(config, section).model_dump(by_alias=True)
    return values.get(name)


def _range(one: Given, leaf: Leaf) -> Range | Choices | None:
    """The range that a parameter holds; None where it holds a value."""
    found = asked(one, leaf)
    if found is None:
        return None
    section = leaf.path.partition(".")[0]
    reason = _FIXED_SECTIONS.get(section) or _FIXED.get(leaf.path)
    if reason is None:
        return found
    if isinstance(one.value, str) and not _is_numeric(leaf):
        return None
    raise UsageError(f"{leaf.path} cannot be searched: {reason}", where=one.origin)


def asked(one: Given, leaf: Leaf) -> Range | Choices | None:
    """What a given value says of what a parameter may be; None: it is a value.

    Raises:
        UsageError: a range that is none.
    """
    value = one.value
    forms = {get_origin(kind) or kind for kind in kinds.alternatives(leaf.annotation)}
    is_list = bool(forms & {list, tuple, dict})
    if isinstance(value, Range | Choices):
        return value
    if isinstance(value, Mapping) and dict in forms:
        return None
    if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        return _ends(value["low"], value["high"], bool(value.get("log", False)), one)
    if isinstance(value, Mapping) and set(value) == {"choices"} and isinstance(value["choices"], list | tuple):
        return Choices(tuple(value["choices"]))
    if isinstance(value, list | tuple) and not is_list:
        return Choices(tuple(value))
    if not isinstance(value, str):
        return None
    if value.strip() == _DECLARED and str(_DECLARED) not in leaf.choices:
        return _declared(one, leaf)
    if _is_numeric(leaf) and (match := _RANGE.fullmatch(value)):
        ends = _ends(match[1], match[2], bool(match[3]), one)
        return ends if match[4] is None else _spread(leaf, ends, int(match[4]), one)
    if "," in value and not is_list:
        return Choices(kinds.listed(value, one.origin))
    return None


def _declared(one: Given, leaf: Leaf) -> Range | Choices | None:
    if leaf.search is None and not _is_numeric(leaf) and not leaf.choices:
        return None
    if leaf.search is None:
        raise UsageError(
            f"{leaf.path} has no declared range", where=one.origin, hint="write low:high, low:high:log, or a,b,c"
        )
    return leaf.search


def _spread(leaf: Leaf, ends: Range, count: int, one: Given) -> Choices:
    """``count`` values from one end to the other, to four places."""
    if not 2 <= count <= _MOST_POINTS:
        raise UsageError(f"{count} values of a range", where=one.origin, hint=f"legal: 2 to {_MOST_POINTS}")
    points = Dimension(leaf.path, ends, _is_whole(leaf)).points(count)
    return Choices(tuple(float(f"{point:.4g}") if isinstance(point, float) else point for point in points))


def _ends(low: Any, high: Any, log: bool, one: Given) -> Range:
    try:
        found = Range(float(low), float(high), log)
    except (TypeError, ValueError):
        raise UsageError(f"{low!r} to {high!r} is no range of numbers", where=one.origin) from None
    if not found.low < found.high:
        raise UsageError(f"a range goes up: {found.low:g} is not below {found.high:g}", where=one.origin)
    if log and found.low <= 0:
        raise UsageError(f"a logarithmic range begins above 0, not at {found.low:g}", where=one.origin)
    return found


def _checked(
    fixed: Mapping[str, Given], leaf: Leaf, found: Range | Choices, origin: str, problems: list[Problem]
) -> Range | Choices:
    """The range with its values converted and held to what is legal."""
    probes = found.values if isinstance(found, Choices) else (found.low, found.high)
    if _is_whole(leaf) and isinstance(found, Range):
        probes = tuple(int(end) if end == int(end) else end for end in probes)
    values = []
    for probe in probes:
        try:
            built = configs.build({**fixed, leaf.path: Given(probe, origin, text=isinstance(probe, str))})
            values.append(value_at(built, leaf.path))
        except UsageError as error:
            problems += error.problems or [error.headline]
    if isinstance(found, Range):
        return found
    if len(values) == len(probes) and len({_label(value) for value in values}) < max(2, len(values)):
        problems.append(Problem(f"{leaf.path}: choices are two different values or more", origin))
    return Choices(tuple(values))


def _headline(problems: list[Problem]) -> str:
    return (
        "1 problem with the search space" if len(problems) == 1 else f"{len(problems)} problems with the search space"
    )


def _is_numeric(leaf: Leaf) -> bool:
    return any(kind in (int, float) for kind in kinds.alternatives(leaf.annotation))


def _is_whole(leaf: Leaf) -> bool:
    found = kinds.alternatives(leaf.annotation)
    return int in found and float not in found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(value: Any) -> Any:
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _same(one: Any, other: Any) -> bool:
    """Equal, and not one a truth value and the other a number."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _plain(one: Dimension) -> dict[str, Any]:
    rest = {"whole": one.whole, "asked": one.asked}
    if isinstance(one.range, Choices):
        return {"choices": list(one.range.values), **rest}
    return {"low": one.range.low, "high": one.range.high, "log": one.range.log, **rest}


def _dimension(path: str, *, whole: bool, asked: bool, **ends: Any) -> Dimension:
    found = Choices(tuple(ends["choices"])) if "choices" in ends else Range(**ends)
    return Dimension(path, found, whole, asked)
