"""Answers of any task, with its own request parameters and its own form of answer."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import asking, checking
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
    call.served = call.serving.find(body.model)
    checked = checking.request(call, call.served, body, rest, ["inputs"])
    inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    call.inputs = tuple(inputs)
    checking.limits(call, checking.texts_in(inputs), len(inputs), checked.request)
    rows = call.served.model.rows(inputs)
    answered = await asking.answer(call, checked.request, rows=rows, priority=body.priority, time_s=body.time)
    usage = {"prompt_tokens": answered.prompt_tokens, "completion_tokens": answered.tokens}
    found = {"model": call.served.name, "task": call.served.task, "answers": answered.answers, "usage": usage}
    return answer({"id": call.id, **found, **checking.told(call, checked)})


def _gives() -> dict[str, Any]:
    answers = {"type": "array", "items": {"type": "object"}}
    return {"type": "object", "properties": {"answers": answers}, "required": ["id", "model", "task", "answers"]}


ENDPOINTS = (
    Endpoint(
        "/v1/predict/{model}",
        predict,
        "Answers of a model in its task's own form.",
        takes=lambda: {**params.schema(Body), "additionalProperties": True},
        gives=_gives,
        example={"inputs": ["a fine film", "a waste of time"]},
    ),
)
