"""Request parameters that several tasks share, and the words for those that have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.errors import Problem, UsageError
from tunesmith.params import Params, param

if TYPE_CHECKING:
    from tunesmith.config import Model

Reason = tuple[bool, Sequence[str], str]
"""Whether it holds, the parameters that then have no effect, and why, in words."""


class Windowed(Params):
    """What may be asked of tasks that can read a long text in windows."""

    window_overlap: int | None = param(
        None, "Tokens that neighbouring windows of a long text share; none: as in training.", ge=0
    )


def reading(usual: Model, request: object) -> Model:
    """How texts are read for a request."""
    overlap = getattr(request, "window_overlap", None)
    return usual if overlap is None else usual.but(window_overlap=overlap)


def idle(request: Params, reasons: Iterable[Reason]) -> Iterator[str]:
    """A sentence for each parameter that is set and has no effect, by the first reason that holds."""
    left = params.set_apart(request)
    for holds, names, reason in reasons:
        for name in names if holds else ():
            if name in left:
                left.remove(name)
                yield f"{name} has no effect: {reason}"


def refuse(request: Params, reason: str) -> None:
    """Refuse every parameter that is set, for a model that can honour none.

    Raises:
        UsageError: naming each.
    """
    if changed := sorted(params.set_apart(request)):
        problems = [Problem("has no effect", f"request parameter {name}", "leave it out") for name in changed]
        raise UsageError(reason, problems=problems)


def no_windows(usual: Model, *names: str) -> Reason:
    """The reason of parameters that only count where long texts are read in windows."""
    cut = usual.long_text or "keep-ends"
    return cut != "windows", ("window_overlap", *names), f"the model was trained with model.long_text {cut}"
