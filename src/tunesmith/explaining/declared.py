"""All that is declared of a request parameter, gathered from where it is declared: nothing is written here a second time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tunesmith import params, plugins
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.explaining import elsewhere, interactions
from tunesmith.explaining.elsewhere import There
from tunesmith.explaining.interactions import Interaction
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Choices, Leaf, Range, param

_SOURCE = re.compile(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*)\)")
_WRITING = "max_tokens"
"""A parameter that all tasks that write have, and no other."""


class Decided(params.Params):
    """What training decided for all requests, and can be looked at like a request parameter."""

    calibration: float | None = param(
        None,
        "Temperature by which outputs are divided before they become probabilities, as calibrated in training; no request sets it; none: as tuned.",
        gt=0,
        search=Range(0.25, 4.0, log=True),
    )


DECIDED: dict[str, Leaf] = {leaf.path: leaf for leaf in params.leaves(Decided)}


@dataclass(frozen=True)
class Declared:
    """A parameter as one or several tasks declare it.

    Args:
        leaf: the declaration.
        defaults: by task.
        writes: whether the tasks write texts.
    """

    leaf: Leaf
    defaults: dict[str, Any]
    writes: bool

    @property
    def name(self) -> str:
        """What users type."""
        return self.leaf.path

    @property
    def tasks(self) -> tuple[str, ...]:
        """That have it."""
        return tuple(self.defaults)


@dataclass(frozen=True)
class Sheet:
    """What is known of a parameter without a model.

    Args:
        name: what users type.
        tasks: that have it.
        meaning: in a sentence.
        formula: of its sampler, with its source; empty: it is none.
        source: the paper, or who described it.
        legal: values in words.
        defaults: by task, where these differ; else one, under "all".
        search: the range that a search tries; empty: none.
        order: the samplers in their order, where it is one of them, and its place, from 1.
        interactions: with other parameters.
        engines: that honour it, and when; empty: always.
        elsewhere: the same in other programs.
    """

    name: str
    tasks: tuple[str, ...]
    meaning: str
    legal: str
    defaults: dict[str, Any]
    search: str
    formula: str = ""
    source: str = ""
    order: tuple[str, ...] = ()
    place: int = 0
    interactions: tuple[Interaction, ...] = ()
    engines: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, There] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def every() -> list[Declared]:
    """All request parameters of all tasks; those that several tasks declare alike once."""
    found: dict[tuple[str, str, str], Declared] = {}
    for task in plugins.names("tasks"):
        leaves = list(params.leaves(plugins.module("tasks", task).Request))
        writes = any(leaf.path == _WRITING for leaf in leaves)
        for leaf in leaves:
            one = found.setdefault((leaf.path, leaf.legal, leaf.help), Declared(leaf, {}, writes))
            one.defaults[task] = leaf.default
    return list(found.values())


def groups() -> dict[str, list[Declared]]:
    """All of them, by the tasks that have them."""
    found: dict[str, list[Declared]] = {}
    for one in every():
        found.setdefault(", ".join(one.tasks), []).append(one)
    return dict(sorted(found.items(), key=lambda group: -len(group[1])))


def find(name: str) -> list[Declared]:
    """The declarations of a name: tasks may mean different things by it.

    Raises:
        UsageError: no task has such a parameter; names the nearest.
    """
    if name in DECIDED:
        return [Declared(DECIDED[name], dict.fromkeys(_calibrated()), writes=False)]
    known = every()
    if not any(one.name == name for one in known):
        names = sorted({one.name for one in known})
        hint = did_you_mean(name, names) or "`tunesmith explain` lists them"
        raise UsageError(f"there is no request parameter '{name}'", where="PARAMETER", hint=hint)
    return [one for one in known if one.name == name]


def sheet(one: Declared) -> Sheet:
    """Everything that is known of a parameter."""
    defaults = one.defaults if len(set(map(str, one.defaults.values()))) > 1 else {"all": one.leaf.default}
    told = dict(elsewhere.of(one.name, one.tasks[0], writes=one.writes))
    plain = Sheet(one.name, one.tasks, one.leaf.help, one.leaf.legal, defaults, searched(one.leaf), elsewhere=told)
    return _of_generation(plain) if one.writes and one.name in GenerationRequest.model_fields else plain


def searched(leaf: Leaf) -> str:
    """The declared search range in words."""
    if leaf.search is None:
        return ""
    if isinstance(leaf.search, Choices):
        return ", ".join(str(value) for value in leaf.search.values)
    return f"{leaf.search.low:g} to {leaf.search.high:g}{', evenly in the logarithm' if leaf.search.log else ''}"


def _calibrated() -> Iterator[str]:
    """Tasks whose probabilities are calibrated in training."""
    for task in plugins.names("tasks"):
        if any(leaf.path == "calibrate" for leaf in params.leaves(plugins.module("tasks", task).Params)):
            yield task


def _of_generation(plain: Sheet) -> Sheet:
    from tunesmith.generation.sampler import SAMPLERS

    own = next((one for one in SAMPLERS if plain.name == one.name or plain.name.startswith(f"{one.name}_")), None)
    formula = " ".join(own.formula.split()) if own else ""
    source = _SOURCE.search(formula)
    return replace(
        plain,
        formula=formula,
        source=source[1] if source else "",
        order=tuple(one.name for one in SAMPLERS) if own or plain.name == "sampler_order" else (),
        place=SAMPLERS.index(own) + 1 if own else 0,
        interactions=tuple(interactions.of(plain.name)),
        engines=dict(_engines(plain.name)),
    )


def _engines(name: str) -> Iterator[tuple[str, str]]:
    """Each engine, or kind of one, that honours a parameter, with the condition."""
    for engine in plugins.names("engines"):
        for kind, honours in plugins.load("engines", engine).declared().items():
            if name in honours:
                yield kind, honours[name].where
