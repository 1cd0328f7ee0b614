"""What people say of an answer: kept beside it, to judge the model and to learn from."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.kept import feedback as said
from tunesmith.kept.feedback import Said
from tunesmith.kept.prediction import Feedback
from tunesmith.serving import keeping
from tunesmith.serving.call import Call
from tunesmith.serving.checking import unknown_parameters
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.replies import answer


async def feedback(call: Call) -> Response:
    """Keep what is said; a key speaks of the answers to its own requests alone."""
    kept = keeping.of(call.serving)
    given = {name: value for name, value in call.body.items() if value is not None}
    if unknown := [name for name in given if name not in Said.model_fields]:
        raise unknown_parameters(unknown, list(Said.model_fields))
    asked = params.check(Said, given, {name: name for name in given})

    def keep(log: Any) -> Feedback | None:
        found = kept.find(log, asked.id, asked.input, call.key.name)
        if found is None or found.id is None:
            return None
        checked = said.checked(asked, found, log.origin(found.bundle))
        log.give(found.id, checked, call.key.name)
        return checked

    checked = await kept.ask(keep)
    if checked is None:
        message = f"no answer to input {asked.input} of a request '{asked.id}' is kept"
        raise Refusal(message, "not_found", 404, param="id", hint="only requests of the same key are found")
    return answer({"id": asked.id, "input": asked.input, "kept": True, "truth": checked.truth})


def _gives() -> dict[str, Any]:
    kinds = {"id": "string", "input": "integer", "kept": "boolean"}
    properties: dict[str, Any] = {name: {"type": kind} for name, kind in kinds.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


ENDPOINTS = (
    Endpoint(
        "/v1/feedback",
        feedback,
        "What people say of an answer: the right one, a rating, a comment. The last counts.",
        takes=lambda: params.schema(Said),
        gives=_gives,
    ),
)
