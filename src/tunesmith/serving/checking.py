"""A body becomes request parameters: the route's own fields apart from the model's, presets below what is given.

A field that nobody knows is refused with the nearest name, or dropped and listed where the caller says ``on_unsupported:
drop``. ``null`` means not given.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tunesmith import params
from tunesmith.errors import Problem, did_you_mean
from tunesmith.params import Params, Seconds, param
from tunesmith.serving import refusal, trials
from tunesmith.serving.call import Call
from tunesmith.serving.refusal import Refusal

if TYPE_CHECKING:
    from tunesmith.serving.models import Served


_MOST_NAMED = 20


class Asking(Params):
    """Fields of every body that asks a model."""

    model: str | None = param(None, "Which model; none: the only one that is served.")
    preset: str | None = param(None, "Named request parameters of the bundle; what is given beside them counts more.")
    on_unsupported: Literal["refuse", "drop"] = param(
        "refuse", "A parameter that is unknown or cannot be honoured: refuse the request, or drop it and list it in the answer."
    )  # fmt: skip
    priority: int = param(0, "Requests with a lower number are begun first.", ge=-100, le=100)
    time: Seconds | None = param(None, "Longest time of this request in seconds; it ends as it stands then.")
    user: str | None = param(None, "Whom the request is for; kept with it where predictions are kept.")


A = TypeVar("A", bound=Params)


@dataclass(frozen=True)
class Checked:
    """A model's request parameters.

    Args:
        request: checked.
        dropped: names that were given and dropped.
    """

    request: Any
    dropped: tuple[str, ...] = ()


def own(call: Call, group: type[A], **path: Any) -> tuple[A, dict[str, Any]]:
    """The route's own fields of a body, and the others; what stands in the path counts as given.

    Raises:
        UsageError: fields are illegal.
    """
    return parted({**call.body, **path}, group)


def parted(given: Mapping[str, Any], group: type[A]) -> tuple[A, dict[str, Any]]:
    """The fields of a group, and the others.

    Raises:
        UsageError: fields are illegal.
    """
    names = {field.alias or name for name, field in group.model_fields.items()}
    given = {name: value for name, value in given.items() if value is not None}
    mine = params.check(group, {name: value for name, value in given.items() if name in names}, {n: n for n in names})
    return mine, {name: value for name, value in given.items() if name not in names}


def plain(call: Call, group: type[A]) -> A:
    """A body that asks no model.

    Raises:
        Refusal: a name that nobody knows.
        UsageError: fields are illegal.
    """
    given = {name: value for name, value in call.body.items() if value is not None}
    known = names_of(group)
    if unknown := [name for name in given if name not in known]:
        raise unknown_parameters(unknown, known)
    return params.check(group, given, {name: name for name in known})


def query(call: Call, group: type[A]) -> A:
    """What stands in the address behind the question mark.

    Raises:
        Refusal: a name that nobody knows.
        UsageError: an illegal value, or one that stands there twice.
    """
    given = dict(call.request.query_params)
    twice = [name for name, _ in call.request.query_params.multi_items()]
    if len(twice) > len(given):
        name = next(name for name in twice if twice.count(name) > 1)
        raise Refusal("stands there twice", "invalid_value", param=name)
    found, unknown = parted(given, group)
    if unknown:
        raise unknown_parameters(unknown, names_of(group))
    return found


def request(
    call: Call,
    served: Served,
    asking: Asking,
    given: Mapping[str, Any],
    also: Iterable[str] = (),
    usual: Mapping[str, Any] | None = None,
) -> Checked:
    """Request parameters of a model, and what was dropped; where versions of it are compared, here is chosen which one
    answers, and ``call.served`` is that one then.

    Args:
        call: who asks.
        served: the model.
        asking: the route's own fields.
        given: the others.
        also: names that the route knows beside the model's, for the nearest name.
        usual: the route's own defaults, below presets.

    Raises:
        Refusal: a name that nobody knows.
        UsageError: an illegal value.
    """
    call.served = served = trials.chosen(call, served, asking.user)
    taken = call.endpoint.sets
    known = [name for name in names_of(served.model.request_class) if name not in taken]
    unknown = tuple(name for name in given if name not in known)
    if unknown and asking.on_unsupported == "refuse":
        raise unknown_parameters(unknown, [*known, *also, *names_of(type(asking))])
    own = {name: value for name, value in given.items() if name in known}

    def asked_of(one: Served) -> tuple[Any, tuple[str, ...]]:
        """The request parameters of a version, and those that its engine does not honour and that are dropped.

        The call keeps this; if this kept the call, both would stay until the garbage collector comes by.
        """
        preset = {name: value for name, value in one.preset(asking.preset).items() if name not in taken}
        kept = {**(usual or {}), **preset, **own}
        found = one.model.request(**kept)
        if asking.on_unsupported == "refuse" or not (beyond := beyond_engine(one, found, kept)):
            return found, ()
        return one.model.request(**{name: value for name, value in kept.items() if name not in beyond}), beyond

    call.user, call.asks = asking.user, lambda one: asked_of(one)[0]
    checked, dropped = asked_of(served)
    call.parameters = checked.model_dump(mode="json", by_alias=True)
    return Checked(checked, (*unknown, *dropped))


def beyond_engine(served: Served, request: Any, given: Iterable[str]) -> tuple[str, ...]:
    """Those of the names given that the engine does not honour; others it refuses itself."""
    if not served.model.task.writes:
        return ()
    from tunesmith.generation.honours import Case, refused

    engine = served.model.engine
    beyond = {name for name, _ in refused(engine.honours, Case(request, engine.facts))}
    return tuple(name for name in given if name in beyond)


@functools.cache
def names_of(group: type[Params]) -> list[str]:
    """Every name that a group of parameters accepts; not to be changed."""
    found = []
    for name, field in group.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        found += [field.alias or name, *([str(extra["also"])] if "also" in extra else [])]
    return found


def unknown_parameters(unknown: Iterable[str], known: Iterable[str]) -> Refusal:
    """The refusal of names that nobody knows; of very many the first are named, and how many more there are."""
    names, (*given,) = list(known), unknown
    problems = [Problem(f"unknown parameter '{name}'", name, did_you_mean(name, names)) for name in given[:_MOST_NAMED]]
    if len(given) > _MOST_NAMED:
        problems.append(Problem(f"and {len(given) - _MOST_NAMED:,} more unknown parameters"))
    return refusal.of_problems(problems, "unknown_parameter")


def limits(call: Call, texts: Iterable[str], inputs: int, checked: Checked) -> Checked:
    """Hold a request against what one request may hold; where it says nothing of its answers' length, they get what there is.

    Returns:
        The request; where its answers could be longer than the server lets them, with ``max_tokens``.

    Raises:
        Refusal: it has too many inputs, too long a text, or asks for too many tokens.
    """
    options = call.serving.options
    if inputs > options.max_inputs:
        raise Refusal(f"{inputs} inputs, and a request may have {options.max_inputs}", "too_many_inputs")
    longest = max(map(len, texts), default=0)
    if longest > options.max_input_chars:
        message = f"a text has {longest:,} characters, and may have {options.max_input_chars:,}"
        raise Refusal(message, "input_too_long")
    return _bounded(call, checked, inputs)


def _bounded(call: Call, checked: Checked, inputs: int) -> Checked:
    """The request, whose answers have no more tokens than the server gives.

    Raises:
        Refusal: more are asked for.
    """
    request, most = checked.request, call.serving.options.max_answer_tokens
    if not hasattr(request, "max_tokens") or not inputs:
        return checked
    texts = inputs * request.rows
    asked = texts * (max(1, request.min_tokens) if request.max_tokens is None else request.max_tokens)
    if asked > most:
        message = f"up to {asked:,} tokens are asked for, and a request may have {most:,}"
        raise Refusal(message, "too_many_tokens", param="max_tokens")
    assert call.served is not None
    context = call.served.model.engine.facts.context
    if request.max_tokens is not None or (context is not None and context <= most // texts):
        return checked
    bounded = request.but(max_tokens=most // texts)
    call.parameters = bounded.model_dump(mode="json", by_alias=True)
    return replace(checked, request=bounded)


def told(call: Call, checked: Checked) -> dict[str, Any]:
    """What every answer says of how it came about."""
    served = call.served
    assert served is not None
    found: dict[str, Any] = {
        "effective_parameters": call.parameters,
        "engine": served.engine,
        "model_version": served.version,
        "system_fingerprint": served.fingerprint,
    }
    if checked.dropped:
        found["dropped_parameters"] = list(checked.dropped)
    return found


def texts_in(given: Any) -> Iterator[str]:
    """Every text in a value, however deep."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, (list, tuple)):
        for one in given:
            yield from texts_in(one)
    elif isinstance(given, Mapping):
        yield from texts_in(list(given.values()))
