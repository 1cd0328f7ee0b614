"""Which parameters of generation go together: found by putting every pair of them to the request's own check.

So what is told here is what callers are told, and stands nowhere twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.explaining import values
from tunesmith.generation import request as requests
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import set_apart

TRIED: Mapping[str, tuple[Any, ...]] = {
    "max_tokens": (0, 3),
    "min_tokens": (5,),
    "temperature": (1.0,),
    "xtc_threshold": (0.2, 0.7),
    "dry_base": (2.0,),
    "dry_allowed_length": (3,),
    "dry_sequence_breakers": ((".",),),
    "logit_bias": ({5: 1.0},),
    "bad_words": (("word",),),
    "allowed_token_ids": ((5,),),
    "stop": (("word",),),
    "stop_token_ids": ((5,),),
    "ignore_eos": (True,),
    "seed": (1,),
    "n": (2, 5),
    "best_of": (4,),
    "logprobs": (True,),
    "top_logprobs": (3,),
    "logprobs_of": ("processed",),
    "echo": (True,),
    "num_beams": (4,),
    "sampler_order": (("top_p",),),
    "truncate_prompt": ("start",),
    "response_format": ({"type": "json_object"},),
}
"""Values that are tried, where the ends of the declared range would not do."""

_NO_EFFECT = " has no effect: "


@dataclass(frozen=True)
class Interaction:
    """What is said of a parameter beside another.

    Args:
        kind: ``idle``: it has no effect; ``silences``: the other has none; ``enables``: the other has one only with it;
            ``refused``: they do not go together.
        other: the other parameter with its value; empty: it is so beside the defaults.
        why: in the words of the check.
    """

    kind: str
    other: str
    why: str

    def __str__(self) -> str:
        beside = f"beside {self.other}" if self.other else "beside the defaults"
        told = {
            "idle": f"has no effect {beside}",
            "refused": f"is refused {beside}",
            "silences": f"leaves {self.other} without effect",
            "enables": f"is what {self.other} needs",
        }
        return f"{told[self.kind]}: {self.why}"


def of(name: str) -> list[Interaction]:
    """Everything that the check of requests says of a parameter and one other.

    >>> [str(one) for one in of("top_p")][0]
    'has no effect beside the defaults: temperature is 0, so the likeliest token is taken'
    """
    found = dict.fromkeys(_alone(name))
    reasons = {(one.kind, one.why) for one in found}
    for other in GenerationRequest.model_fields:
        if other != name:
            found |= dict.fromkeys(one for one in _beside(name, other) if (one.kind, one.why) not in reasons)
    return list(_joined(found))


def tried(name: str) -> tuple[Any, ...]:
    """The values of a parameter that are tried."""
    if name in TRIED:
        return TRIED[name]
    leaf = next(leaf for leaf in params.leaves(GenerationRequest) if leaf.path == name)
    known = [value for value in values.declared(leaf) if value != leaf.default]
    return tuple(dict.fromkeys([known[0], known[-1]]))


def _alone(name: str) -> Iterator[Interaction]:
    for value in tried(name):
        problems, idle = _checked({name: value})
        yield from (Interaction("refused", "", message) for message in problems)
        yield from (Interaction("idle", "", why) for own, why in idle if own == name)


def _beside(name: str, other: str) -> Iterator[Interaction]:
    """What is said of both that is said of neither alone; also where tokens are drawn, as much is idle where none is."""
    for drawn in ({}, {"temperature": 1.0}):
        for value in tried(name):
            for second in tried(other):
                pair = {**drawn, name: value, other: second}
                problems, idle = _checked(pair)
                known = [_checked({**drawn, one: pair[one]}) for one in (name, other)]
                shown = f"{other} {second}" if isinstance(second, bool | int | float | str) else other
                for message in problems:
                    if not any(message in before for before, _ in known):
                        yield Interaction("refused", shown, message)
                if not drawn and not problems:
                    yield from (Interaction("enables", other, f"else {why}") for why in _lifted(other, known[1], idle))
                for own, why in idle:
                    if not any((own, why) in before for _, before in known):
                        yield Interaction("idle" if own == name else "silences", shown if own == name else other, why)


def _lifted(other: str, alone: Any, idle: list[tuple[str, str]]) -> list[str]:
    """Why a parameter has no effect by itself, where it has one in the pair."""
    return [] if any(own == other for own, _ in idle) else [why for own, why in alone[1] if own == other]


def _checked(given: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """What is refused of a request, and which of its parameters have no effect, with the reason."""
    request = GenerationRequest(**given)
    try:
        warnings = requests.check(request)
    except UsageError as error:
        return [f"{problem.where}: {problem.message}" for problem in error.problems], []
    parted = (warning.split(_NO_EFFECT, 1) for warning in warnings)
    return [], [(parts[0], parts[1]) for parts in parted if parts[0] in set_apart(request)]


def _joined(found: Mapping[Interaction, None]) -> Iterator[Interaction]:
    """Those of one kind and reason as one."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.kind, one.why), []).append(one.other)
    for (kind, why), others in groups.items():
        yield Interaction(kind, ", ".join(dict.fromkeys(others)), why)
