"""Labels of texts in the form of vLLM's ``/classify``: of each the likeliest label, and what every label scores."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.params import param
from tunesmith.serving import answering, checking, labelled, schemas
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer


class Body(Asking):
    """What is to be labelled. The model's request parameters stand beside it, but for top_k: every label is listed."""

    input: str | list[Any] | dict[str, Any] = param(
        ..., "A text, or a list of texts; a pair is a mapping with the task's columns."
    )


async def classify(call: Call) -> Response:
    """The label of each text, and the scores of all labels in the model's order."""
    body, rest = checking.own(call, Body)
    served = answering.model(call, body.model)
    labels = labelled.labels_of(served)
    if not labels:
        raise answering.other_task(served, "a model that gives labels")
    inputs = body.input if isinstance(body.input, list) else [body.input]
    found = await answering.whole(call, body, rest, inputs, also=["input"], usual=labelled.every_label)
    data = [_one(index, one, labels) for index, one in enumerate(found.answers)]
    told = {"id": call.id, "object": "list", "created": int(time.time()), "model": served.name, "data": data}
    return answer({**told, "labels": list(labels), "usage": found.usage, **checking.told(call, found.checked)})


def _one(index: int, one: dict[str, Any], labels: tuple[str, ...]) -> dict[str, Any]:
    """Of several labels that hold, ``label`` is the likeliest, and ``labels`` are all; none: null."""
    holding = [entry["label"] for entry in labelled.decided(one)]
    told = {"index": index, "label": next(iter(holding), None), "probs": labelled.scores(one, labels)}
    more: dict[str, Any] = {"labels": holding} if "labels" in one else {}
    notes: dict[str, Any] = {name: one[name] for name in ("warnings", "cut_tokens") if name in one}
    return {**told, "num_classes": len(labels), **more, **notes}


def _gives() -> dict[str, Any]:
    label = {"type": ["string", "null"]}
    each = {
        "index": schemas.COUNT,
        "label": label,
        "probs": schemas.listed(schemas.NUMBER),
        "num_classes": schemas.COUNT,
    }
    data = schemas.listed(schemas.mapping(each, {"labels": schemas.listed(schemas.TEXT)}))
    told = {"id": schemas.TEXT, "object": {"const": "list"}, "created": schemas.COUNT, "model": schemas.TEXT}
    names = {**schemas.listed(schemas.TEXT), "description": "Every label, in the order of probs."}
    rest = {"data": data, "labels": names, "usage": schemas.usage(), **schemas.HOW}
    return schemas.mapping({**told, **rest}, schemas.DROPPED)


ENDPOINTS = (
    Endpoint(
        "/classify",
        classify,
        "Labels of texts, as vLLM tells them.",
        takes=lambda: params.schema(Body),
        gives=_gives,
        request="",
        inputs="input",
        tasks=("text-classification", "relation-extraction"),
        sets=("top_k",),
        examples={
            "text-classification": {"model": "{model}", "input": ["a fine film", "a waste of time"]},
            "relation-extraction": {"model": "{model}", "input": {"text": "<e1>Anna</e1> works for <e2>Acme</e2>"}},
        },
    ),
)  # fmt: skip
