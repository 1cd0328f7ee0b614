"""What an engine honours of a request; what it does not is refused and never ignored.

An engine declares one entry for each parameter that it honours: ``ALWAYS``, or ``When`` something holds. Documentation and
errors are made of these entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith import params
from tunesmith.errors import Problem, UnsupportedError
from tunesmith.generation.facts import Facts
from tunesmith.generation.request import GenerationRequest

DEFAULTS: dict[str, Any] = {leaf.path: leaf.default for leaf in params.leaves(GenerationRequest)}
"""Of each parameter the value that asks for nothing."""


@dataclass(frozen=True)
class Case:
    """What a request is put to: its parameters, the model, the tokens that are read."""

    request: GenerationRequest
    facts: Facts
    prompt: Sequence[int] = ()


@dataclass(frozen=True)
class When:
    """A parameter is honoured where something holds, which ``where`` says in words; empty: everywhere."""

    where: str
    holds: Callable[[Case], bool]


ALWAYS = When("", lambda case: True)
Honours = Mapping[str, When]


def everything() -> dict[str, When]:
    """All parameters are honoured."""
    return dict.fromkeys(DEFAULTS, ALWAYS)


def check(engine: str, honours: Honours, cases: Sequence[Case], others: Mapping[str, Honours]) -> None:
    """Refuse requests that an engine cannot honour.

    Args:
        engine: its name.
        honours: what it honours.
        cases: requests with what they are put to.
        others: what other engines honour, by name, for the hint.

    Raises:
        UnsupportedError: names each such parameter, and the engines that honour it.
    """
    problems: dict[str, Problem] = {}
    for case in cases:
        for name, why in refused(honours, case):
            problems.setdefault(name, Problem(why, name, _hint(name, case, others)))
    if problems:
        raise UnsupportedError(f"the engine {engine} cannot honour the request", problems=problems.values())


def refused(honours: Honours, case: Case) -> Iterator[tuple[str, str]]:
    """Each parameter of a request that is not honoured, and why."""
    for name, default in DEFAULTS.items():
        value = getattr(case.request, name)
        if value == default:
            continue
        if name not in honours:
            yield name, f"{value!r} is not honoured"
        elif not honours[name].holds(case):
            yield name, f"{value!r} is honoured only {honours[name].where}"


def _hint(name: str, case: Case, others: Mapping[str, Honours]) -> str | None:
    able = [engine for engine, honours in others.items() if name in honours and honours[name].holds(case)]
    return f"honoured by: {', '.join(able)}" if able else None
