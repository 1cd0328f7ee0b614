"""What OpenAI's routes share: fields of theirs that mean nothing here, what stands in every answer, prompts that are too long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.errors import Problem, TunesmithError
from tunesmith.params import param
from tunesmith.serving import checking, refusal, spelling
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking, Checked
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.written import Texts

if TYPE_CHECKING:
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.serving.models import Served

_NO_AUDIO = "answers are text"
_NOT_KEPT = "answers are not kept for later"
_NO_CACHE = "what prompts have in common is remembered by itself"
UNSUPPORTED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "audio": ((), _NO_AUDIO),
    "modalities": ((["text"],), _NO_AUDIO),
    "store": ((False,), _NOT_KEPT),
    "metadata": (({},), _NOT_KEPT),
    "service_tier": (("auto", "default"), "there is one tier; say priority instead"),
    "prediction": ((), "answers are not predicted"),
    "web_search_options": ((), "nothing is searched for"),
    "moderation": ((), "nothing is moderated"),
    "reasoning_effort": (("none",), "the model does not think apart from its answer"),
    "verbosity": (("medium",), "say max_tokens instead"),
    "safety_identifier": ((), "say user instead"),
    "prompt_cache_key": ((), _NO_CACHE),
    "prompt_cache_options": ((), _NO_CACHE),
    "prompt_cache_retention": ((), _NO_CACHE),
    "functions": (([],), "say tools instead"),
    "function_call": (("none",), "say tool_choice instead"),
    "suffix": (("",), "the model only goes on after a text"),
}
"""Fields of OpenAI's that are not honoured: the values that ask for nothing, and why others are refused."""


class StreamOptions(params.Params):
    """What a stream holds beside its text."""

    include_usage: bool = param(False, "A last event tells how many tokens were read and written.")
    include_obfuscation: bool = param(False, "Events of one length: not supported.")


class Writing(Asking):
    """Fields of every body that asks for texts in OpenAI's form."""

    stream: bool = param(False, "Send the text as it is written, as server-sent events.")
    stream_options: StreamOptions = param(StreamOptions(), "What the stream holds beside its text.")


def checked(call: Call, served: Served, body: Writing, rest: Mapping[str, Any]) -> Checked:
    """The model's request parameters, once OpenAI's own fields are seen to.

    Raises:
        Refusal: a field is not supported, or nobody knows it.
        UsageError: an illegal value.
    """
    given, dropped = _supported(body, rest)
    found = checking.request(call, served, body, given, UNSUPPORTED)
    return Checked(found.request, (*dropped, *found.dropped))


def stream_options(call: Call) -> None:
    """Refuse options of a stream that there is none of, that are not known, or not supported.

    Raises:
        Refusal: says which.
    """
    given = call.body.get("stream_options")
    if given is None:
        return
    if not call.body.get("stream"):
        raise Refusal("there are options of a stream, and none is asked for", "invalid_value", param="stream_options")
    if isinstance(given, dict):
        names = list(StreamOptions.model_fields)
        if unknown := [f"stream_options.{name}" for name in given if name not in names]:
            raise checking.unknown_parameters(unknown, [f"stream_options.{name}" for name in names])
        if given.get("include_obfuscation"):
            raise unsupported({"stream_options.include_obfuscation": "events are as long as their text"})


def unsupported(why: Mapping[str, str]) -> Refusal:
    """The refusal of fields that cannot be honoured, by name."""
    problems = [Problem(f"{name} is not supported", name, reason) for name, reason in why.items()]
    return refusal.of_problems(problems, "unsupported_parameter")


def head(call: Call, kind: str, name: str) -> dict[str, Any]:
    """What every answer, and every event of a stream, begins with."""
    assert call.served is not None
    return {
        "id": f"{name}-{call.id}",
        "object": kind,
        "created": int(call.at),
        "model": call.served.name,
        "system_fingerprint": call.served.fingerprint,
    }


def about(call: Call, asked: Checked, texts: Texts) -> dict[str, Any]:
    """How an answer came about."""
    return {**checking.told(call, asked), **texts.about}


async def check_length(call: Call, texts: Iterable[str], field: str, request: GenerationRequest) -> None:
    """Refuse what is certainly longer than the context, before it is turned into tokens.

    Only letters count that no tokenizer and no chat template leaves out: none of the space between words.

    Raises:
        Refusal: with the counts.
    """
    assert call.served is not None
    context = call.served.model.engine.facts.context
    if context is None or request.truncate_prompt != "no":
        return
    letters = sum(len("".join(text.split())) for text in texts)
    if letters <= context:
        return
    longest = await asyncio.to_thread(lambda spelt: spelt.longest, spelling.of(call.served))
    if longest is not None and letters > context * longest:
        at_least = -(-letters // longest)
        raise Refusal(
            f"the prompt has {letters:,} letters, which is more than {at_least - 1:,} tokens, and the model's context holds {context:,}",
            "context_length_exceeded",
            param=field,
            hint="shorten it, or set truncate_prompt to start or end",
        )


def named(error: TunesmithError, field: str) -> Refusal:
    """An error of what was read, told of the field of the body that it stands in."""
    first = error.problems[0] if error.problems else error.headline
    return Refusal(first.message, error.code, error.http_status, param=field, hint=first.hint or error.headline.hint)


def encodable(texts: Iterable[str], field: str) -> None:
    """Refuse texts with half a character.

    Raises:
        Refusal: there is one.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Refusal("holds half of a character (a lone surrogate)", "invalid_value", param=field) from None


def _supported(body: Writing, rest: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields that are not OpenAI's alone, and the names of those that were dropped."""
    refused = {
        name: UNSUPPORTED[name][1]
        for name, value in rest.items()
        if name in UNSUPPORTED and not any(value == one and type(value) is type(one) for one in UNSUPPORTED[name][0])
    }
    if refused and body.on_unsupported == "refuse":
        raise unsupported(refused)
    return {name: value for name, value in rest.items() if name not in UNSUPPORTED}, list(refused)


def takes(group: type[Writing]) -> dict[str, Any]:
    """JSON schema of a body: the route's own fields, and every parameter of generation beside them."""
    from tunesmith.generation.request import GenerationRequest

    own, beside = params.schema(group), params.schema(GenerationRequest)
    fields = {**beside["properties"], **own["properties"]}
    shared = {**beside.get("$defs", {}), **own.get("$defs", {})}
    return {**own, "properties": fields, "$defs": shared, "additionalProperties": True}


def gives(kind: str, choice: Iterable[str]) -> dict[str, Any]:
    """JSON schema of a whole answer, whose choices have these fields."""
    names = sorted(choice)
    one = {"type": "object", "properties": {name: {} for name in names}, "required": names}
    count = {"type": "integer", "minimum": 0}
    tokens = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), count)
    fields = {
        "id": {"type": "string"},
        "object": {"const": kind},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "system_fingerprint": {"type": "string"},
        "choices": {"type": "array", "items": one},
        "usage": {"type": "object", "properties": tokens, "required": list(tokens)},
        "effective_parameters": {"type": "object"},
        "engine": {"type": "string"},
    }
    return {"type": "object", "properties": fields, "required": list(fields)}
