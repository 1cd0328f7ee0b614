"""What a user may set of what is decided after training; tasks with labels take it into their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith import params
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.tasks.base import Target

MISSED, WRONG = "missed", "wrong"
"""What a label of several costs: where it holds and is not given, and where it is given and does not hold."""

_CALIBRATIONS = {
    "multi-class": ("temperature", "none"),
    "multi-label": ("platt", "temperature", "none"),
    "entities": ("temperature", "none"),
}
_AIMS = {
    "multi-class": ("probability", "f1_macro", "f1_weighted", "recall_macro", "mcc", "cost"),
    "multi-label": ("f1_macro", "f1_micro", "probability", "cost"),
}


class Calibrated(params.Params):
    """How probabilities are made to mean what they say."""

    calibrate: Literal["auto", "none", "temperature", "platt"] = param(
        "auto",
        "Fit probabilities to how often answers are right on the validation rows: by one temperature, or by a factor and a shift for each of several labels (platt); auto: platt for several labels, else temperature.",
    )


class Decided(Calibrated):
    """How probabilities become answers."""

    decide_by: Literal["auto", "probability", "f1_macro", "f1_micro", "f1_weighted", "recall_macro", "mcc", "cost"] = (
        param(
            "auto",
            "What answers are best at: probability gives the likeliest label, or of several those from a half on; a metric has thresholds tuned on the validation rows; cost is the least expected one. auto: cost where there are costs, else f1_macro for several labels, else probability.",
        )
    )
    costs: dict[str, dict[str, Annotated[float, Field(ge=0)]]] | None = param(
        None,
        "What mistakes cost: {truth: {answer: cost}}, for several labels {label: {missed: cost, wrong: cost}}; 1 where none is given.",
    )
    abstain_accuracy: float | None = param(
        None,
        "One label: answer 'unknown' below the probability from which this share of the answers is right, as the validation rows show; none: always answer.",
        gt=0,
        lt=1,
    )


def chosen(options: Calibrated, kind: str) -> dict[str, Any]:
    """What is left to the kind of target, decided."""
    found: dict[str, Any] = {"calibrate": options.calibrate}
    if options.calibrate == "auto":
        found["calibrate"] = _CALIBRATIONS.get(kind, ("none",))[0]
    if isinstance(options, Decided):
        usual = "cost" if options.costs else _AIMS.get(kind, ("probability",))[0]
        found["decide_by"] = usual if options.decide_by == "auto" else options.decide_by
    return found


def problems(options: Calibrated, kind: str, labels: Sequence[str]) -> Iterator[Problem]:
    """What is set and cannot be: it has no effect on this kind of target, names no label, or contradicts the rest."""
    legal = {"calibrate": _CALIBRATIONS.get(kind, ("none",))}
    if isinstance(options, Decided):
        legal["decide_by"] = _AIMS.get(kind, ("probability",))
    for name, values in legal.items():
        if getattr(options, name) not in ("auto", *values):
            message = f"{getattr(options, name)!r} has no effect on a {kind} target"
            yield Problem(message, f"task.{name}", f"legal here: {', '.join(values)}")
    if isinstance(options, Decided):
        yield from _problems_of_costs(options, kind, labels)
        if options.abstain_accuracy is not None and kind != "multi-class":
            message = f"has no effect on a {kind} target: only the one answer of a multi-class target is withheld"
            yield Problem(message, "task.abstain_accuracy", "leave it out")


def notes(options: Calibrated, target: Target) -> tuple[str, ...]:
    """What became of what was wanted, where the numbers of a report do not say it."""
    if not isinstance(options, Decided):
        return ()
    tuned_for = options.decide_by in _AIMS["multi-class"][1:-1]
    lines = {
        f"task.decide_by {options.decide_by}: on the validation rows thresholds gained no more than chance, so the likeliest "
        "label is the answer": tuned_for and target.kind == "multi-class" and not target.thresholds,
        f"task.abstain_accuracy {options.abstain_accuracy}: answers of a probability below {target.decision.abstain_below:.3g} "
        "are withheld": options.abstain_accuracy is not None,
    }
    return tuple(line for line, holds in lines.items() if holds)


def check(options: Calibrated, kind: str, labels: Sequence[str]) -> None:
    """Refuse what cannot be.

    Raises:
        UsageError: with all ``problems``.
    """
    if found := list(problems(options, kind, labels)):
        raise UsageError("the task's options do not fit the data", problems=found)


def _problems_of_costs(options: Decided, kind: str, labels: Sequence[str]) -> Iterator[Problem]:
    if options.costs is None:
        if options.decide_by == "cost":
            hint = "say what mistakes cost: task.costs {truth: {answer: cost}}"
            yield Problem("there are no costs to decide by", "task.decide_by", hint)
        return
    if kind not in _AIMS:
        yield Problem(f"has no effect on a {kind} target", "task.costs", "leave it out")
        return
    if options.decide_by not in ("auto", "cost"):
        yield Problem(f"has no effect with task.decide_by {options.decide_by}", "task.costs", "legal there: cost")
    answers = labels if kind == "multi-class" else (MISSED, WRONG)
    for truth, row in options.costs.items():
        if truth not in labels:
            yield Problem(f"no label '{truth}'", "task.costs", did_you_mean(truth, labels))
        for answer in row:
            if answer not in answers:
                what = "label" if kind == "multi-class" else "kind of mistake"
                yield Problem(f"no {what} '{answer}'", f"task.costs.{truth}", did_you_mean(answer, answers))
