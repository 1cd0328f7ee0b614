"""The Open Inference Protocol (KServe's V2): health, what there is, and answers as tensors; an error is a text."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from tunesmith import params, plugins
from tunesmith.params import Params, param
from tunesmith.serving import answering, checking, labelled, schemas, tensors
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer
from tunesmith.serving.tensors import Given, Wanted


class Body(Params):
    """Tensors of texts."""

    id: str | None = param(None, "Told in the answer; none: the request's own.")
    inputs: Annotated[tuple[Given, ...], Field(min_length=1)] = param(..., "A tensor for each of the task's inputs.")
    outputs: tuple[Wanted, ...] = param((), "The outputs that are wanted; none: all.")
    parameters: dict[str, Any] = param({}, "The model's request parameters, and the fields of any request.")


async def live(call: Call) -> Response:
    """The server lives."""
    return answer({"live": True})


async def ready(call: Call) -> Response:
    """Every model answers."""
    return answer({"ready": call.serving.ready}, 200 if call.serving.ready else 503)


async def server(call: Call) -> Response:
    """What the server is."""
    return answer({"name": "tunesmith", "version": version("tunesmith"), "extensions": []})


async def model(call: Call) -> Response:
    """What a model reads and gives."""
    served = answering.model(call, call.path["model"])
    outputs = [output.declared() for output in tensors.outputs_of(served)]
    labels = labelled.labels_of(served)
    told = {"name": served.name, "versions": [str(served.version)], "platform": f"tunesmith_{served.engine}"}
    more = {"parameters": {"labels": list(labels)}} if labels else {}
    return answer({**told, "inputs": tensors.inputs_of(served), "outputs": outputs, **more})


async def model_ready(call: Call) -> Response:
    """A model answers."""
    served = answering.model(call, call.path["model"])
    is_ready = served.ready
    return answer({"name": served.name, "ready": is_ready}, 200 if is_ready else 503)


async def infer(call: Call) -> Response:
    """Answers as tensors."""
    body, unknown = checking.own(call, Body)
    if unknown:
        raise checking.unknown_parameters(unknown, checking.names_of(Body))
    asked, given = checking.parted({**body.parameters, "model": call.path["model"]}, Asking)
    served = answering.model(call, asked.model)
    inputs = tensors.rows(body.inputs, tensors.names_of(served))
    outputs = tensors.outputs_of(served)
    tensors.chosen(outputs, body.outputs, [])
    found = await answering.whole(call, asked, given, inputs, usual=labelled.every_label)
    wanted = tensors.chosen(outputs, body.outputs, found.answers)
    how = checking.told(call, found.checked)
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in how.items()}
    version = str((call.served or served).version)  # the one that answered, where two are compared
    head = {"model_name": served.name, "model_version": version, "id": body.id or call.id}
    return answer({**head, "parameters": told, "outputs": [output.told(found.answers) for output in wanted]})


def _takes() -> dict[str, Any]:
    schema = params.schema(Body)
    tasks = [plugins.load("tasks", name) for name in plugins.names("tasks")]
    names = sorted({name for task in tasks for name in task.inputs if name != "tokens"})
    schema["properties"]["parameters"] |= schemas.fields(Asking)
    schema["$defs"]["Given"]["properties"]["name"]["enum"] = names
    return schema


def _tensor(*, data: bool) -> dict[str, Any]:
    shape = schemas.listed({"type": "integer"})
    known = {"name": schemas.TEXT, "datatype": {"enum": ["BYTES", "FP64", "INT64"]}, "shape": shape}
    return schemas.mapping({**known, **({"data": schemas.listed({"type": ["string", "number"]})} if data else {})})


def _gives() -> dict[str, Any]:
    head = {"model_name": schemas.TEXT, "model_version": schemas.TEXT, "id": schemas.TEXT}
    how = {**schemas.mapping(dict.fromkeys(schemas.HOW, schemas.TEXT)), "description": "Lists and objects as JSON."}
    return schemas.mapping({**head, "parameters": how, "outputs": schemas.listed(_tensor(data=True))})


def _describes() -> dict[str, Any]:
    head = {"name": schemas.TEXT, "versions": schemas.listed(schemas.TEXT), "platform": schemas.TEXT}
    both = {name: schemas.listed(_tensor(data=False)) for name in ("inputs", "outputs")}
    return schemas.mapping({**head, **both}, {"parameters": schemas.ANYTHING})


def _server() -> dict[str, Any]:
    told = {"name": schemas.TEXT, "version": schemas.TEXT, "extensions": schemas.listed(schemas.TEXT)}
    return schemas.mapping(told)


def _text(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}], **more}


def _two(first: str, one: str, second: str, other: str) -> dict[str, Any]:
    return {"inputs": [*_text(first, one)["inputs"], *_text(second, other)["inputs"]]}


_SHORT = {"parameters": {"max_tokens": 8}}
ENDPOINTS = (
    Endpoint("/v2", server, "What the server is (Open Inference Protocol).", "GET", gives=_server, plain_errors=True),
    Endpoint(
        "/v2/health/live", live, "Whether the server lives.", "GET",
        gives=lambda: schemas.mapping({"live": schemas.TRUTH}), always=True, plain_errors=True,
    ),
    Endpoint(
        "/v2/health/ready", ready, "Whether it can answer now (503: not yet, or no more).", "GET",
        gives=lambda: schemas.mapping({"ready": schemas.TRUTH}), always=True, plain_errors=True,
    ),
    Endpoint(
        "/v2/models/{model}", model, "The tensors that a model reads and gives.", "GET", gives=_describes,
        plain_errors=True,
    ),
    Endpoint(
        "/v2/models/{model}/ready", model_ready, "Whether a model can answer now (503: it cannot).", "GET",
        gives=lambda: schemas.mapping({"name": schemas.TEXT, "ready": schemas.TRUTH}), always=True, plain_errors=True,
    ),
    Endpoint(
        "/v2/models/{model}/infer",
        infer,
        "Answers of a model as tensors.",
        takes=_takes,
        gives=_gives,
        request="parameters",
        plain_errors=True,
        examples={
            "text-classification": _text("text", "a fine film", outputs=[{"name": "label"}, {"name": "scores"}]),
            "token-classification": _text("text", "Anna lives in Oslo"),
            "question-answering": _two("question", "Who lives here?", "context", "Anna lives here."),
            "relation-extraction": _text("text", "<e1>Anna</e1> works for <e2>Acme</e2>"),
            "sentence-similarity": _two("text", "a fine day", "text_pair", "good weather"),
            "translation": _text("source", "Good morning", **_SHORT),
            "summarization": _text("text", "It rained all day.", **_SHORT),
            "chat": _text("messages", "Say hello", **_SHORT),
        },
    ),
)  # fmt: skip
