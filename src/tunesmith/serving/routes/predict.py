"""Answers of any task, with its own request parameters and its own form of answer."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import answering, checking, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer


class Body(Asking):
    """What is to be answered. The task's request parameters stand beside it."""

    inputs: str | list[Any] | dict[str, Any] = param(
        ..., "A text, a mapping with the task's columns, or a list of these; a pair of texts in a list is written as a mapping."
    )  # fmt: skip


async def predict(call: Call) -> Response:
    """Answer each input."""
    body, rest = checking.own(call, Body, model=call.path["model"])
    served = answering.model(call, body.model)
    inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    found = await answering.whole(call, body, rest, inputs, also=["inputs"])
    head = {"id": call.id, "model": served.name, "task": served.task, "answers": found.answers, "usage": found.usage}
    return answer({**head, **checking.told(call, found.checked)})


def _gives() -> dict[str, Any]:
    told = {"id": schemas.TEXT, "model": schemas.TEXT, "task": schemas.TEXT}
    answers = schemas.listed({**schemas.ANYTHING, "description": "As the task's page shows it."})
    return schemas.mapping({**told, "answers": answers, "usage": schemas.usage(), **schemas.HOW}, schemas.DROPPED)


ENDPOINTS = (
    Endpoint(
        "/v1/predict/{model}",
        predict,
        "Answers of a model in its task's own form.",
        takes=lambda: params.schema(Body),
        gives=_gives,
        request="",
        inputs="inputs",
        examples={
            "text-classification": {"inputs": ["a fine film", "a waste of time"], "top_k": 2},
            "token-classification": {"inputs": "Anna Smith lives in Oslo", "threshold": 0.1},
            "question-answering": {"inputs": {"question": "Who lives here?", "context": "Anna lives here."}, "n_best": 2},
            "relation-extraction": {"inputs": [{"text": "<e1>Anna</e1> works for <e2>Acme</e2>"}]},
            "sentence-similarity": {"inputs": {"text": "a fine day", "text_pair": "good weather"}},
            "translation": {"inputs": "Good morning", "max_tokens": 8},
            "summarization": {"inputs": "It rained all day, and nobody came.", "max_tokens": 8},
            "chat": {"inputs": "Say hello", "max_tokens": 8, "temperature": 0.7, "seed": 7},
        },
    ),
)  # fmt: skip
