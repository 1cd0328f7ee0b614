"""Answers in the forms of Hugging Face's inference API, so that its clients can be pointed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.errors import Problem, UsageError
from tunesmith.params import Params, param
from tunesmith.serving import answering, checking, hugging_face, labelled, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer


class Body(Params):
    """What is to be answered."""

    inputs: str | list[Any] | dict[str, Any] = param(
        ..., "A text, a mapping with the task's inputs as Hugging Face names them, or a list of these."
    )
    parameters: dict[str, Any] = param({}, "The model's request parameters, by Tunesmith's names or Hugging Face's.")
    options: dict[str, Any] = param({}, "The fields of any request (preset, priority, time ...), and Hugging Face's.")


class Options(Asking):
    """What stands in ``options``."""

    use_cache: bool = param(True, "No answer is kept, so each is fresh either way.")
    wait_for_model: bool = param(False, "Models that can be asked are loaded, so there is nothing to wait for.")


async def infer(call: Call) -> Response:
    """Answer each input, in the form of the model's task."""
    body, unknown = checking.own(call, Body)
    asked, more = checking.parted({**body.options, "model": call.path["model"]}, Options)
    unknown |= more | ({"model": None} if "model" in body.options else {})
    if unknown:
        raise checking.unknown_parameters(unknown, [*checking.names_of(Body), *checking.names_of(Options)])
    served = answering.model(call, asked.model)
    inputs, form = hugging_face.read(served, body.inputs)
    given = _ours(body.parameters, hugging_face.names(served.task))
    names = hugging_face.names(served.task)
    found = await answering.whole(call, asked, given, inputs, also=names, usual=labelled.every_label)
    reply = answer(form(found.answers))
    reply.headers["x-engine"], reply.headers["x-system-fingerprint"] = served.engine, served.fingerprint
    if found.checked.dropped:
        reply.headers["x-dropped-parameters"] = hugging_face.header(found.checked.dropped)
    return reply


def _ours(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Parameters by our own names, and with our own words.

    Raises:
        UsageError: one is given by both names.
    """
    found = {name: value for name, value in given.items() if value is not None and name not in names}
    for name, ours in names.items():
        if given.get(name) is not None:
            if ours in found:
                problem = Problem(f"is the same parameter as {ours}", name, "give one of them")
                raise UsageError("parameters that do not go together", problems=[problem])
            found[ours] = hugging_face.value(given[name])
    return found


def _takes() -> dict[str, Any]:
    schema = params.schema(Body)
    schema["properties"]["options"] |= schemas.fields(Options)
    return schema


def _gives() -> dict[str, Any]:
    entry = schemas.mapping({}, {"label": schemas.TEXT, "score": schemas.NUMBER})
    return {"anyOf": [schemas.listed({}), entry, schemas.ANYTHING], "description": "As Hugging Face's clients read it."}


ENDPOINTS = (
    Endpoint(
        "/hf/{model}",
        infer,
        "Answers of a model in the form of Hugging Face's inference API.",
        takes=_takes,
        gives=_gives,
        request="parameters",
        inputs="inputs",
        forms=hugging_face.forms,
        names=hugging_face.names,
        plain_errors=True,
        examples={
            "text-classification": {"inputs": "a fine film", "parameters": {"top_k": 2}},
            "token-classification": {"inputs": "Anna lives in Oslo", "parameters": {"aggregation_strategy": "simple"}},
            "question-answering": {"inputs": {"question": "Who lives here?", "context": "Anna lives here."}},
            "relation-extraction": {"inputs": {"text": "<e1>Anna</e1> works for <e2>Acme</e2>"}},
            "sentence-similarity": {"inputs": {"source_sentence": "a fine day", "sentences": ["good weather", "rain"]}},
            "translation": {"inputs": "Good morning", "parameters": {"max_new_tokens": 8}},
            "summarization": {"inputs": "It rained all day.", "parameters": {"max_new_tokens": 8}},
            "chat": {"inputs": "Say hello", "parameters": {"max_new_tokens": 8}, "options": {"use_cache": False}},
        },
    ),
)
