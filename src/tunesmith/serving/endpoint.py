"""What a route is. Each file in ``routes/`` declares some, as ``ENDPOINTS``; none is listed anywhere else."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import plugins
from tunesmith.serving.keys import Scope

if TYPE_CHECKING:
    from starlette.responses import Response

    from tunesmith.serving.call import Call

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A route.

    Args:
        path: with its parameters in braces.
        handle: gives the answer.
        summary: one line for the documentation.
        method: of HTTP.
        scope: what a key must be allowed; None: nobody is asked for one.
        takes: JSON schema of the body; None: it has none.
        gives: JSON schema of the answer.
        example: a body that works, ``{model}`` standing for a model's name.
        examples: such bodies by the task of the model that is asked.
        media: content type of the answer.
        status: of HTTP, of an answer.
        always: whether it is answered while the server stops or is full.
        query: JSON schemas of the query's parameters.
        tasks: whose models it asks; None: those of any.
        request: where in the body the model's request parameters stand: the name of an object, or empty where they stand
            beside the route's own fields; None: it takes none.
        sets: request parameters that the route sets itself, and so does not take.
        inputs: the field of the body that holds what is to be answered, in any form that the task reads.
        forms: further forms of inputs, by the name of the task.
        names: other names of a task's request parameters that it takes, each with our own.
        plain_errors: whether an error is a text, as the clients of its protocol read them, with its code beside.
    """

    path: str
    handle: Callable[[Call], Awaitable[Response]]
    summary: str
    method: Literal["GET", "POST", "PUT", "DELETE"] = "POST"
    scope: Scope | None = "infer"
    takes: Callable[[], Schema] | None = None
    gives: Callable[[], Schema] | None = None
    example: Mapping[str, Any] | None = None
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    media: str = "application/json"
    status: int = 200
    always: bool = False
    query: Mapping[str, Schema] = field(default_factory=dict)
    tasks: tuple[str, ...] | None = None
    request: str | None = None
    sets: tuple[str, ...] = ()
    inputs: str | None = None
    forms: Callable[[str], list[Schema]] | None = None
    names: Callable[[str], Mapping[str, str]] | None = None
    plain_errors: bool = False


def every() -> list[Endpoint]:
    """All routes."""
    return [endpoint for name in plugins.names("serving.routes") for endpoint in _of(name)]


@functools.cache
def open_to_all() -> frozenset[str]:
    """Paths for which nobody is asked for a key."""
    return frozenset(one.path for one in every() if one.scope is None)


@functools.cache
def plain_places() -> frozenset[str]:
    """First parts of the paths below which errors are texts, also where there is no such path."""
    return frozenset(_first(one.path) for one in every() if one.plain_errors)


def tells_plainly(path: str) -> bool:
    """Whether an error of a path that there is not is a text."""
    return _first(path) in plain_places()


def _first(path: str) -> str:
    return path.partition("/")[2].partition("/")[0]


def _of(name: str) -> tuple[Endpoint, ...]:
    found: tuple[Endpoint, ...] = plugins.module("serving.routes", name).ENDPOINTS
    return found
