"""Inputs and answers of each task as Hugging Face's inference API has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.serving import answering, labelled, schemas
from tunesmith.serving.refusal import Refusal

if TYPE_CHECKING:
    from tunesmith.serving.models import Served

Answers = list[dict[str, Any]]
Form = Callable[[Answers], Any]
"""From the answers to what is sent."""

_MOST_LETTERS = 4000
_READS = {"stride": "window_overlap"}
_WRITES = {
    "max_new_tokens": "max_tokens",
    "num_return_sequences": "n",
    "return_full_text": "echo",
    "stop_sequences": "stop",
}
_NAMES: dict[str, dict[str, str]] = {
    "text-classification": {"function_to_apply": "activation", **_READS},
    "token-classification": {"aggregation_strategy": "aggregation", **_READS},
    "question-answering": {
        "top_k": "n_best",
        "max_answer_len": "max_answer_length",
        "handle_impossible_answer": "allow_no_answer",
        "doc_stride": "window_overlap",
    },
    "translation": _WRITES,
    "summarization": _WRITES,
    "chat": _WRITES,
}
_VALUES = {"average": "mean"}
_WRITTEN = {"translation": "translation_text", "summarization": "summary_text", "chat": "generated_text"}


def names(task: str) -> Mapping[str, str]:
    """Hugging Face's names of a task's request parameters, each with ours."""
    return _NAMES.get(task, {})


def forms(task: str) -> list[Mapping[str, Any]]:
    """Inputs that only this route takes."""
    if task != "sentence-similarity":
        return []
    given = {"source_sentence": schemas.WRITTEN, "sentences": schemas.listed(schemas.WRITTEN)}
    return [{**schemas.mapping(given), "additionalProperties": False}]


def value(given: Any) -> Any:
    """A parameter's value by our own name for it."""
    return _VALUES.get(given, given) if isinstance(given, str) else given


def header(names: Iterable[str]) -> str:
    """Names in a header, which has no letters but ASCII; of very many the first, and dots."""
    told = ", ".join(json.dumps(name)[1:-1] for name in names)
    return told if len(told) <= _MOST_LETTERS else f"{told[:_MOST_LETTERS]} ..."


def read(served: Served, inputs: Any) -> tuple[list[Any], Form]:
    """The inputs that are meant, and what their answers look like.

    Raises:
        Refusal: they are not in the form of the task.
    """
    if served.task == "sentence-similarity" and isinstance(inputs, Mapping):
        return _compared(inputs)
    one = _each(served)
    if isinstance(inputs, list):
        return inputs, lambda answers: [one(answer) for answer in answers]
    wrap = served.task in _WRITTEN or bool(labelled.labels_of(served)) or served.model.target.kind == "regression"
    return [inputs], lambda answers: [one(answers[0])] if wrap else one(answers[0])


def _compared(inputs: Mapping[str, Any]) -> tuple[list[Any], Form]:
    """A sentence beside others: of each of these the score."""
    first, others = inputs.get("source_sentence"), inputs.get("sentences")
    if set(inputs) == {"text", "text_pair"}:
        return [dict(inputs)], lambda answers: [answer["score"] for answer in answers]
    if not isinstance(first, str) or not isinstance(others, list) or set(inputs) != {"source_sentence", "sentences"}:
        hint = 'send {"source_sentence": "...", "sentences": ["...", "..."]}'
        raise Refusal("no sentence with others to compare it to", "invalid_value", param="inputs", hint=hint)
    pairs = [{"text": first, "text_pair": other} for other in others]
    return pairs, lambda answers: [answer["score"] for answer in answers]


def _each(served: Served) -> Callable[[dict[str, Any]], Any]:
    """What one answer becomes."""
    task = served.task
    if task in _WRITTEN:
        name, ours = _WRITTEN[task], answering.written_name(served)
        return lambda answer: _texts(answer, name, ours)
    if labelled.labels_of(served):
        return labelled.ranked
    if task == "text-classification":
        return lambda answer: [{"label": "value", "score": answer["value"]}]
    forms = {
        "token-classification": _entities,
        "question-answering": _spans,
        "sentence-similarity": lambda answer: answer.get("embedding", answer.get("score")),
    }
    return forms.get(task, lambda answer: answer)


def _texts(answer: Mapping[str, Any], name: str, ours: str) -> Any:
    """One text, or all of them where several were asked for."""
    several = [answer, *answer.get("alternatives", ())]
    texts = [{name: one[ours]} for one in several]
    return texts if "alternatives" in answer else texts[0]


def _entities(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    grouped = "entities" in answer
    called, ours = ("entity_group", "type") if grouped else ("entity", "label")
    return [
        {called: one[ours], "score": one["score"], "word": one["text"], "start": one["start"], "end": one["end"]}
        for one in answer["entities" if grouped else "words"]
    ]


def _spans(answer: Mapping[str, Any]) -> Any:
    """One answer, or several where they were asked for; that there is none is an empty text at the start."""
    several = [answer, *answer.get("alternatives", ())]
    told = [
        {"answer": one["answer"], "score": one["score"], "start": one["start"] or 0, "end": one["end"] or 0}
        for one in several
    ]
    return told if "alternatives" in answer else told[0]
