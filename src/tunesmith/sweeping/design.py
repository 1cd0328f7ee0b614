"""Which settings a sweep tries, which of them cannot be asked, and which come to the same request."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.generation import request as requests
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params
from tunesmith.sweeping import spelled
from tunesmith.sweeping.space import Axis, Space

_MOST_SETTINGS = 5000


@dataclass(frozen=True)
class Setting:
    """Values of the parameters that are varied, and the request that they make.

    Args:
        number: 0 is the bundle's defaults, with what is the same in all settings.
        values: by name.
        request: complete.
        run: number of the setting whose answers these are: itself, or an earlier one that comes to the same request.
    """

    number: int
    values: Mapping[str, Any]
    request: Params
    run: int

    def words(self, shown: Sequence[str] = ()) -> str:
        """As a user would give it."""
        names = shown or list(self.values)
        return " ".join(f"{name}={spelled.value(self.values[name])}" for name in names)


@dataclass(frozen=True)
class Design:
    """All settings.

    Args:
        settings: the defaults, and those that are tried.
        axes: names of the parameters that are varied.
        left_out: how many settings cannot be asked, by the reason.
        on_axes: whether the defaults' values are among those that are tried.
    """

    settings: tuple[Setting, ...]
    axes: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    on_axes: bool = False

    @property
    def runs(self) -> tuple[Setting, ...]:
        """The settings that are answered; the others come to the same requests."""
        return tuple(one for one in self.settings if one.run == one.number)

    @property
    def tried(self) -> tuple[Setting, ...]:
        """The settings that were designed: all but the defaults, unless these are among them."""
        return self.settings if self.on_axes else self.settings[1:]


def make(
    space: Space,
    defaults: Params,
    *,
    kind: str,
    count: int,
    seed: int,
    refused: Callable[[Params], str | None] = lambda request: None,
) -> Design:
    """Design settings.

    Args:
        space: what is varied.
        defaults: the bundle's request.
        kind: ``grid``, ``race`` (a grid too, unless a range is among the axes), ``random`` or ``sobol``.
        count: settings of a design that draws.
        seed: of the drawing.
        refused: why the engine cannot answer a request; None: it can.

    Raises:
        UsageError: a grid over a range without steps, too many settings, or none that can be asked.
    """
    base = defaults.but(**space.fixed)
    _check_defaults(base, refused)
    names = tuple(axis.name for axis in space.axes)
    found: list[Setting] = [Setting(0, {name: getattr(base, name) for name in names}, base, 0)]
    seen = {_key(base): 0}
    left_out: dict[str, int] = {}
    on_axes = False
    for values in _combinations(space.axes, kind, count, seed):
        same = {name: repr(value) for name, value in values.items()}
        if same == {name: repr(value) for name, value in found[0].values.items()}:
            on_axes = True
            continue
        request = base.but(**values)
        if reason := refusal(request) or refused(request):
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        run = seen.setdefault(_key(request), len(found))
        found.append(Setting(len(found), values, request, run))
    if len(found) == 1:
        raise UsageError("no setting can be asked", hint="; ".join(left_out) or "give values that differ")
    return Design(tuple(found), names, left_out, on_axes)


def refusal(request: Params) -> str | None:
    """Why a request cannot be asked; None: it can."""
    if not isinstance(request, GenerationRequest):
        return None
    try:
        requests.check(request)
    except UsageError as error:
        return "; ".join(f"{problem.where}: {problem.message}" for problem in error.problems) or str(error)
    return None


def _check_defaults(base: Params, refused: Callable[[Params], str | None]) -> None:
    if reason := refusal(base) or refused(base):
        raise UsageError("the defaults with what is the same in all settings cannot be asked", hint=reason)


def _key(request: Params) -> str:
    """Equal for requests that differ in parameters without effect alone."""
    values = request.model_dump(by_alias=True)
    if isinstance(request, GenerationRequest):
        idle = {warning.partition(" ")[0] for warning in requests.check(request)}
        usual = {leaf.path: leaf.default for leaf in params.leaves(type(request))}
        values |= {name: usual[name] for name in idle & usual.keys()}
    return repr(sorted(values.items()))


def _combinations(axes: Sequence[Axis], kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    names = [axis.name for axis in axes]
    ranges = [axis.name for axis in axes if axis.range is not None]
    if kind == "grid" and ranges:
        hint = "write START:STOP:STEP or LOW:HIGH:log5, or take --design random, sobol or race"
        raise UsageError(f"a grid needs the values of {', '.join(ranges)}", where=f"--{ranges[0]}", hint=hint)
    if kind in ("grid", "race") and not ranges:
        total = math.prod(len(axis.values) for axis in axes)
        if total > _MOST_SETTINGS:
            hint = f"legal: up to {_MOST_SETTINGS:,}; or take --design sobol --settings N"
            raise UsageError(f"the grid has {total:,} settings", hint=hint)
        return [dict(zip(names, row, strict=True)) for row in itertools.product(*(axis.values for axis in axes))]
    table = (
        _sobol(len(axes), count, seed) if kind != "random" else np.random.default_rng(seed).random((count, len(axes)))
    )
    drawn = [{axis.name: _at(axis, float(share)) for axis, share in zip(axes, row, strict=True)} for row in table]
    return list({repr(one): one for one in drawn}.values())


def _sobol(width: int, count: int, seed: int) -> Any:
    """Scrambled Sobol points, of which the first ``count`` of the next power of two are taken."""
    from scipy.stats import qmc

    power = max(1, math.ceil(math.log2(count)))
    return qmc.Sobol(width, rng=np.random.default_rng(seed)).random_base2(power)[:count]


def _at(axis: Axis, share: float) -> Any:
    """The value of an axis at a share of its length, from 0 to 1."""
    if axis.range is None:
        return axis.values[min(int(share * len(axis.values)), len(axis.values) - 1)]
    low, high = axis.range.low, axis.range.high
    value = low * (high / low) ** share if axis.range.log else low + (high - low) * share
    return round(value) if axis.whole else float(f"{value:.6g}")
