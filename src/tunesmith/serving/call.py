"""One HTTP request on its way: who asks, what, and what was found out while it was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.changed import changed
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.keys import ANYONE, Key
from tunesmith.serving.record import Record

if TYPE_CHECKING:
    from starlette.requests import Request

    from tunesmith.serving.models import Served
    from tunesmith.serving.state import Serving


@dataclass(eq=False)
class Call:
    """An HTTP request.

    Args:
        request: as it came.
        endpoint: which route it is.
        serving: what the server has.
        id: told to the caller, and in every log.
        key: who asks.
        body: the object that it holds.
        served: the model that answers.
        asked: what was asked of it.
        answered: what came of that.
        asks: gives the request parameters that it asks a version of its model with.
        user: whom it is for, as the caller says.
        parameters: as they took effect.
        inputs: what was to be answered, as the caller wrote it.
        answers: as the caller sees them, where that is not what the model says.
        sent: whether the response was sent to its end.
    """

    request: Request
    endpoint: Endpoint
    serving: Serving
    id: str
    key: Key = ANYONE
    body: dict[str, Any] = field(default_factory=dict)
    served: Served | None = None
    asked: Asked | None = None
    answered: Answered | None = None
    asks: Callable[[Served], Any] | None = None
    user: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    answers: tuple[Any, ...] = ()
    status: int = 200
    code: str | None = None
    stream: bool = False
    sent: bool = False
    at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Mapping[str, str]:
        """The values in the path."""
        return self.request.path_params

    def record(self) -> Record:
        """What there is to say of it now that it is over."""
        answered, served = self.answered or Answered([]), self.served
        choices = [windows[-1][n] for windows in answered.generated for n in range(len(windows[-1]))]
        return Record(
            id=self.id,
            route=self.endpoint.path,
            method=self.endpoint.method,
            status=self.status,
            code=self.code,
            at=self.at,
            duration_s=time.monotonic() - self.began,
            trace_parent=self.request.headers.get("traceparent"),
            key=self.key.name,
            **({} if served is None else _served(served)),
            **_times(self.asked, answered.tokens, self.began),
            prompt_tokens=answered.prompt_tokens,
            tokens=answered.tokens,
            cached_tokens=answered.cached_tokens,
            finish_reasons=tuple(choice.finish_reason for choice in choices),
            stream=self.stream,
            user=self.user,
            parameters=self.parameters,
            changed={} if served is None else changed(served, self.parameters, texts=self.serving.options.log_texts),
            inputs=self.inputs,
            answers=self.answers or tuple(answered.answers),
        )


def _served(served: Served) -> dict[str, Any]:
    told = {"model": served.name, "version": served.version, "task": served.task, "engine": served.engine}
    return {**told, "folder": str(served.folder)}


def _times(asked: Asked | None, tokens: int, began: float) -> dict[str, Any]:
    if asked is None or asked.times.started is None:
        return {} if asked is None else {"asked_s": asked.times.asked - began}
    times = asked.times
    started = asked.times.started
    found: dict[str, Any] = {"asked_s": times.asked - began, "queue_s": started - times.asked}
    if times.ended is not None:
        found["answering_s"] = times.ended - started
    if times.first is not None and (tokens or times.marks):
        found |= {"first_token_s": times.first - times.asked, "token_s": times.gaps.mean_s, "gaps": times.gaps}
    return found
