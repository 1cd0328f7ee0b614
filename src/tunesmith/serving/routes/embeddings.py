"""Embeddings of texts, as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import answering, checking, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.replies import answer


class Body(Asking):
    """Texts whose embeddings are wanted. The model's request parameters (dimensions, normalize) stand beside them."""

    input: str | Annotated[list[Any], Field(min_length=1)] = param(..., "A text, or a list of texts.")
    encoding_format: Literal["float", "base64"] = param(
        "float", "Each embedding as a list of numbers, or as base64 of 32-bit floats, little-endian."
    )


async def embeddings(call: Call) -> Response:
    """The embedding of each text."""
    body, rest = checking.own(call, Body)
    served = answering.model(call, body.model)
    if getattr(served.model.task.options, "form", None) == "cross-encoder":
        raise answering.other_task(served, "a bi-encoder: a cross-encoder has no embeddings")
    texts = _texts(body.input)
    found = await answering.whole(call, body, rest, texts, also=["input", "encoding_format"])
    written = _base64 if body.encoding_format == "base64" else list
    data = [
        {**one, "object": "embedding", "index": index, "embedding": written(one["embedding"])}
        for index, one in enumerate(found.answers)
    ]
    usage = {name: found.usage[name] for name in ("prompt_tokens", "total_tokens")}
    told = {"object": "list", "id": call.id, "model": served.name, "data": data, "usage": usage}
    return answer({**told, **checking.told(call, found.checked)})


def _texts(given: str | list[Any]) -> list[str]:
    """The texts; token ids are of a tokenizer that the caller cannot know to be this model's."""
    texts = [given] if isinstance(given, str) else given
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            ids = isinstance(text, (int, list)) and not isinstance(text, bool)
            what = "token ids are not taken" if ids else f"input {number} is no text"
            raise Refusal(what, "invalid_value", param="input", hint="send texts")
    return texts


def _base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _takes() -> dict[str, Any]:
    schema = params.schema(Body)
    one, several = schema["properties"]["input"]["anyOf"]
    schema["properties"]["input"]["anyOf"] = [one, {**several, "items": schemas.TEXT}]
    return schema


def _gives() -> dict[str, Any]:
    numbers = {"anyOf": [schemas.listed(schemas.NUMBER), schemas.TEXT]}
    one = schemas.mapping({"object": {"const": "embedding"}, "index": schemas.COUNT, "embedding": numbers})
    told = {"object": {"const": "list"}, "id": schemas.TEXT, "model": schemas.TEXT, "data": schemas.listed(one)}
    usage = schemas.mapping({"prompt_tokens": schemas.COUNT, "total_tokens": schemas.COUNT})
    return schemas.mapping({**told, "usage": usage, **schemas.HOW}, schemas.DROPPED)


ENDPOINTS = (
    Endpoint(
        "/v1/embeddings",
        embeddings,
        "Embeddings of texts, by a bi-encoder.",
        takes=_takes,
        gives=_gives,
        request="",
        tasks=("sentence-similarity",),
        sets=("embeddings",),
        example={"model": "{model}", "input": ["a fine day", "good weather"], "dimensions": 8},
    ),
)
