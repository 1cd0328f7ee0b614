"""What is known of a request once it is over: for those who count, trace, log and keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.serving.gaps import Gaps

NO_ROUTE, NO_METHOD = "unknown", "other"
"""Of requests that have none, in what is counted and logged: bounded, whatever is tried."""


@dataclass(frozen=True)
class Record:
    """A request that is over.

    Args:
        id: of the request, as the caller sees it.
        trace_parent: the W3C ``traceparent`` that came with it.
        key: name of the API key; empty: none was needed.
        route: the path as it is declared (``/v1/predict/{model}``).
        method: of HTTP.
        status: of HTTP; a stream that failed later keeps its 200.
        code: of the error, if any.
        at: when it came, seconds since 1970.
        duration_s: from then until all was sent.
        model, version, task, engine: who answered; empty: nobody.
        asked_s: from when it came until something was asked of the model.
        folder: the bundle that answered.
        user: whom the request was for, as the caller says.
        queue_s: how long it waited for the worker.
        answering_s: from the worker's begin until all was answered.
        first_token_s: until something was written.
        token_s: each moment between two tokens of a text, on average; None: they came at once, or there was but one.
        gaps: all of these.
        prompt_tokens, tokens, cached_tokens: read, written, and known already.
        finish_reasons: of each answer that is a text.
        parameters: as they took effect.
        changed: those that differ from the bundle's own; what they say is hidden, unless texts are to be logged.
        inputs: what was asked.
        answers: what was answered.
    """

    id: str
    route: str
    method: str
    status: int
    at: float
    duration_s: float
    code: str | None = None
    trace_parent: str | None = None
    key: str = ""
    model: str = ""
    version: int = 0
    task: str = ""
    engine: str = ""
    asked_s: float | None = None
    folder: str = ""
    user: str | None = None
    queue_s: float | None = None
    answering_s: float | None = None
    first_token_s: float | None = None
    token_s: float | None = None
    gaps: Gaps = field(default_factory=Gaps)
    prompt_tokens: int = 0
    tokens: int = 0
    cached_tokens: int = 0
    finish_reasons: tuple[str, ...] = ()
    stream: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Any] = ()
    answers: Sequence[Any] = ()


Observer = Callable[[Record], None]
"""Hears of every request that is over; quick, and its errors reach nobody."""
