"""Inputs and answers as tensors, in the terms of the Open Inference Protocol (KServe's V2)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith.params import Params, param
from tunesmith.serving import answering, labelled
from tunesmith.serving.refusal import Refusal

if TYPE_CHECKING:
    from tunesmith.serving.models import Served

Datatype = Literal["BYTES", "FP64", "INT64"]
_NOWHERE = -1


class Given(Params):
    """A tensor of texts."""

    name: str = param(..., "Which of the task's inputs it holds.")
    shape: tuple[Annotated[int, Field(ge=0)], ...] = param(..., "[N], or [N, 1].")
    datatype: Literal["BYTES"] = param(..., "Texts are BYTES.")
    data: list[Any] = param(..., "The texts, row by row, nested or not.")
    parameters: dict[str, Any] = param({}, "None are known.")


class Wanted(Params):
    """An output that is wanted."""

    name: str = param(..., "Its name.")
    parameters: dict[str, Any] = param({}, "None are known.")


@dataclass(frozen=True)
class Output:
    """What answers hold as a tensor: ``width`` numbers or texts a row, None for one; -1: as many as there are."""

    name: str
    datatype: Datatype
    of: Callable[[Mapping[str, Any]], Any]
    width: int | None = None

    def declared(self) -> dict[str, Any]:
        """For the model's description."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": [-1] if self.width is None else [-1, self.width],
        }

    def told(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The tensor of some answers, row by row."""
        rows = [self.of(answer) for answer in answers]
        if self.width is None:
            return {"name": self.name, "datatype": self.datatype, "shape": [len(rows)], "data": rows}
        width = len(rows[0]) if rows else 0
        flat = [value for row in rows for value in row]
        return {"name": self.name, "datatype": self.datatype, "shape": [len(rows), width], "data": flat}


def inputs_of(served: Served) -> list[dict[str, Any]]:
    """The tensors that a model reads."""
    return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in names_of(served)]


def names_of(served: Served) -> list[str]:
    """The inputs that are texts, of those that the model was trained on."""
    every: tuple[str, ...] = served.model.task.inputs
    return [name for name in every if name in served.model.columns and name != "tokens"] or list(every[:1])


def outputs_of(served: Served) -> tuple[Output, ...]:
    """The tensors that a model's answers may become."""
    whole = Output("json", "BYTES", lambda answer: json.dumps(answer, ensure_ascii=False))
    labels = labelled.labels_of(served)
    if labels:
        first = Output("label", "BYTES", lambda answer: next((one["label"] for one in labelled.decided(answer)), ""))
        scores = Output("scores", "FP64", lambda answer: labelled.scores(answer, labels), len(labels))
        return first, scores, whole
    return (*_own(served), whole)


def _own(served: Served) -> tuple[Output, ...]:
    make = _OF_TASKS.get(served.task)
    return () if make is None else make(served)


def _written(served: Served) -> tuple[Output, ...]:
    name = answering.written_name(served)
    return (Output("text", "BYTES", lambda answer: answer[name]),)


def _spans(served: Served) -> tuple[Output, ...]:
    def place(name: str) -> Callable[[Mapping[str, Any]], int]:
        return lambda answer: _NOWHERE if answer[name] is None else answer[name]

    return (
        Output("answer", "BYTES", lambda answer: answer["answer"]),
        Output("score", "FP64", lambda answer: answer["score"]),
        Output("start", "INT64", place("start")),
        Output("end", "INT64", place("end")),
    )


_OF_TASKS: dict[str, Callable[[Served], tuple[Output, ...]]] = {
    "text-classification": lambda served: (Output("value", "FP64", lambda answer: answer["value"]),),
    "question-answering": _spans,
    "sentence-similarity": lambda served: (
        Output("score", "FP64", lambda answer: answer["score"]),
        Output("embedding", "FP64", lambda answer: answer["embedding"], -1),
    ),
    "translation": _written,
    "summarization": _written,
    "chat": _written,
}


def rows(tensors: Sequence[Given], known: Sequence[str]) -> list[dict[str, str]]:
    """What the tensors hold, row by row.

    Raises:
        Refusal: one is unknown, of another length than the others, or not of its shape.
    """
    columns: dict[str, list[str]] = {}
    for tensor in tensors:
        if tensor.name not in known or tensor.name in columns:
            problem = "stands there twice" if tensor.name in columns else "is no input of the model"
            raise _wrong(f"'{tensor.name}' {problem}", f"inputs: {', '.join(known)}")
        if tensor.parameters:
            raise _wrong(f"'{tensor.name}' has the parameter '{next(iter(tensor.parameters))}', which is unknown")
        columns[tensor.name] = _texts(tensor)
    lengths = {name: len(texts) for name, texts in columns.items()}
    if len(set(lengths.values())) > 1:
        raise _wrong(f"the inputs have different lengths: {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _texts(tensor: Given) -> list[str]:
    """The texts of a tensor, whose shape says how many there are."""
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)):
        raise _wrong(f"'{tensor.name}' has the shape {list(shape)[:8]}", "legal: [N] or [N, 1]")
    nested = len(shape) == 2 and any(isinstance(one, list) for one in tensor.data)
    if nested and not all(isinstance(one, list) and len(one) == 1 for one in tensor.data):
        raise _wrong(f"the data of '{tensor.name}' are not of its shape")
    data = [one[0] for one in tensor.data] if nested else tensor.data
    if len(data) != math.prod(shape):
        raise _wrong(f"'{tensor.name}' holds {len(data):,} texts, and its shape says {math.prod(shape):,}")
    if not all(isinstance(one, str) for one in data):
        raise _wrong(f"'{tensor.name}' holds what is no text")
    return data


def chosen(outputs: Sequence[Output], wanted: Sequence[Wanted], answers: Sequence[Mapping[str, Any]]) -> list[Output]:
    """Those that are wanted and that the answers hold; without a wish all that they hold.

    Raises:
        Refusal: one is wanted that is not there.
    """
    there = [output for output in outputs if all(_holds(output, answer) for answer in answers)]
    names = [output.name for output in there]
    for one in wanted:
        if one.name not in names:
            raise Refusal(
                f"there is no output '{one.name}'",
                "invalid_value",
                param="outputs",
                hint=f"there are: {', '.join(names)}",
            )
        if one.parameters:
            message = f"'{one.name}' has the parameter '{next(iter(one.parameters))}', which is unknown"
            raise Refusal(message, "unknown_parameter", param="outputs")
    return [there[names.index(one.name)] for one in wanted] if wanted else there


def _holds(output: Output, answer: Mapping[str, Any]) -> bool:
    """Of a pair of texts there is a score, of a single one an embedding."""
    return output.name not in ("score", "embedding") or output.name in answer


def _wrong(message: str, hint: str | None = None) -> Refusal:
    return Refusal(message, "invalid_value", param="inputs", hint=hint)
