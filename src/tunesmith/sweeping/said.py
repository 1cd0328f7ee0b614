"""A request in the words of a program behind an address: the same numbers as they are, or carried over to mean the same.

The same numbers are told alone: what they leave open the program fills in by its own defaults, and it runs them in its own
order. What is carried over is told completely, so that the program draws from the distributions that are drawn from here.
Names come from ``orders``, what is known beside them from ``explaining.elsewhere``; ``transformers serve`` takes most
parameters in a ``generation_config``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from tunesmith.errors import UsageError
from tunesmith.explaining import elsewhere
from tunesmith.generation import protocol
from tunesmith.generation.honours import DEFAULTS, Case, refused
from tunesmith.generation.request import GenerationRequest
from tunesmith.sweeping import orders

_OF_EVERY_SERVER = {
    name: name
    for name in ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "stop", "seed", "n")
}  # fmt: skip
_DRY = ("dry_multiplier", "dry_base", "dry_allowed_length", "dry_sequence_breakers")
_OVER_HTTP = {"max_tokens": "max_tokens", "n": "n"}
"""What every server of OpenAI's form calls so, whatever the program says in Python or at its own routes."""

NAMES: dict[str, Mapping[str, str]] = {
    "openai": _OF_EVERY_SERVER,
    "vllm": {**orders.NAMES["vllm"], **_OVER_HTTP},
    "llama.cpp": {
        **_OF_EVERY_SERVER,
        **orders.NAMES["llama.cpp"],
        **{name: name for name in _DRY},
        **_OVER_HTTP,
    },
    "transformers": {**orders.NAMES["transformers"], **_OVER_HTTP, "seed": "seed"},
}
"""What each program calls a parameter over HTTP, of those that it has, whether or not it means exactly the same."""

_FORMS = ("openai", "vllm", "llama.cpp")
"""Programs whose ``response_format`` takes ``json_object`` and ``json_schema``."""
_AT_TOP = ("max_tokens", "temperature", "top_p", "seed")
"""What ``transformers serve`` reads beside its ``generation_config``."""
_TITLES = {"vllm": "vLLM", "llama.cpp": "llama.cpp", "transformers": "transformers"}
_THEIR_LIMIT = 1024
"""Tokens that ``transformers serve`` writes at most where nothing is asked."""


def same(program: str, request: GenerationRequest, given: Collection[str]) -> dict[str, Any]:
    """The numbers as they are.

    Args:
        program: one of ``NAMES``.
        request: complete.
        given: names of the parameters that were asked for; also what is not at its default counts as such.

    Raises:
        UsageError: the program lacks some of them; all are named.
    """
    names = NAMES[program]
    asked = {name: getattr(request, name) for name in DEFAULTS if name in given or _is_set(request, name)}
    form = asked.pop("response_format", None)
    if missing := [name for name in asked if name not in names and _is_set(request, name)]:
        raise UsageError("; ".join(f"{program} refuses {name}: {_why(program, name)}" for name in missing))
    told = {names[name]: orders.plain(value) for name, value in asked.items() if name in names and orders.says(value)}
    return _form(program, told) | _format(program, form)


def carried(program: str, request: GenerationRequest) -> dict[str, Any]:
    """What draws from the same distributions there.

    Args:
        program: one of ``NAMES``.
        request: complete.

    Raises:
        UsageError: it cannot be said there; every reason is named.
    """
    bare = request.model_copy(update={"response_format": None, "seed": None})
    form = _format(program, request.response_format)
    if program == "openai":
        nothing: Any = None  # no condition asks for facts of a model
        reasons = [f"{name}: {why}" for name, why in refused(protocol.PLAIN, Case(bare, nothing))]
        if reasons:
            raise UsageError("of a server that is not known otherwise " + "; ".join(reasons))
        values = {name: orders.plain(getattr(bare, name)) for name in _OF_EVERY_SERVER}
        return {name: value for name, value in values.items() if orders.says(value)} | form
    try:
        found = orders.to_engine(bare, program)
    except UsageError as error:
        raise UsageError("; ".join(f"{one.where}: {one.message}" for one in error.problems) or str(error)) from None
    over_http = {orders.NAMES[program].get(name, name): name for name in _OVER_HTTP}
    told = {over_http.get(name, name): value for name, value in found.parameters.items()}
    return _form(program, told) | form


def differences(program: str, names: Collection[str]) -> dict[str, str]:
    """Of some parameters what a program does with them in another way than is done here, as far as it is known."""
    told = {name: elsewhere.of(name, "", writes=True).get(_TITLES.get(program, "")) for name in names}
    return {name: there.differs for name, there in told.items() if there and there.name and there.differs}


def _form(program: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body."""
    told = {
        name: value if name != "logit_bias" else {str(k): v for k, v in value.items()} for name, value in told.items()
    }
    if program != "transformers":
        return told
    within = {name: value for name, value in told.items() if name not in _AT_TOP}
    at_top = {name: value for name, value in told.items() if name in _AT_TOP}
    if within:  # It replaces the server's own limit, so it must hold one.
        within["max_new_tokens"] = told.get("max_tokens", _THEIR_LIMIT)
    return at_top | ({"generation_config": json.dumps(within)} if within else {})


def _format(program: str, form: Mapping[str, Any] | None) -> dict[str, Any]:
    """The form of the answer, where one is asked for."""
    kind = (form or {}).get("type", "text")
    if kind == "text":
        return {}
    if program not in _FORMS or kind not in ("json_object", "json_schema"):
        raise UsageError(f"{program} refuses response_format: it knows no {kind}")
    assert form is not None
    schema = form.get("json_schema")
    return {"response_format": {**form, **({"json_schema": {"name": "answer", **schema}} if schema else {})}}


def _is_set(request: GenerationRequest, name: str) -> bool:
    return bool(getattr(request, name) != DEFAULTS[name])


def _why(program: str, name: str) -> str:
    if name == "sampler_order":
        known = orders.ORDERS.get(program)
        return f"its order is its own: {', '.join(known)}" if known else "its order is not known"
    return orders.WHY.get((program, name), "it has nothing like it")
