"""What people said of an answer, checked: a truth that the task's training could read."""

from __future__ import annotations

import time
from typing import Any

from tunesmith import predict
from tunesmith.errors import UsageError
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Feedback, Prediction
from tunesmith.params import Params, param
from tunesmith.text.cells import RowError


class Said(Params):
    """What is said of an answer; the last that is said counts."""

    id: str = param(..., "Id of the request, as its answer told it.")
    input: int = param(0, "Which of its inputs is meant, counted from 0.", ge=0)
    label: str | float | list[str] | None = param(
        None, "The right label, the right labels, or the right number, where the task answers with these."
    )
    answer: str | dict[str, Any] | list[Any] | None = param(
        None, "The right answer of other tasks: the text; or entities, or entities and relations, as the model gives them."
    )  # fmt: skip
    rating: float | None = param(None, "How good the answer is, from -1 (bad) to 1 (good).", ge=-1, le=1)
    comment: str | None = param(None, "Anything else, in words.")


def checked(said: Said, prediction: Prediction, origin: Origin) -> Feedback:
    """What is to be kept of it.

    Raises:
        UsageError: nothing is said, or the truth is none that the model could learn.
    """
    given = {"label": said.label, "answer": said.answer}
    named = [name for name, value in given.items() if value is not None]
    if not named and said.rating is None and said.comment is None:
        raise UsageError("nothing is said", hint="give label or answer, rating or comment")
    if not named:
        return Feedback(time.time(), None, said.rating, said.comment)
    right = origin.form.field
    if named != [right]:
        raise UsageError(f"the truth of {origin.task_name} is said by '{right}'", where=named[0])
    return Feedback(time.time(), _truth(given[right], prediction, origin), said.rating, said.comment)


def _truth(value: Any, prediction: Prediction, origin: Origin) -> dict[str, Any]:
    form, task = origin.form, origin.task
    given = predict.by_column(prediction.input, task.inputs)
    truth = form.corrected(given, prediction.answer, value)
    row = form.row(given, {**prediction.answer, **truth} if form.field == "label" else truth)
    try:
        task.read_row(row)
    except RowError as error:
        raise UsageError(f"{error.column} {error}", where=form.field) from None
    return truth
