"""Errors in the form that OpenAI's clients read: a message, the parameter, and a code that does not change.

| code | status | when |
|---|---|---|
| ``invalid_json``, ``invalid_value``, ``missing_value`` | 400 | the body or a value in it |
| ``unknown_parameter``, ``unsupported_parameter`` | 400 | a name that nobody knows; one that this model or engine cannot honour |
| ``context_length_exceeded`` | 400 | prompt and answer are longer than the context |
| ``invalid_api_key``, ``missing_scope`` | 401, 403 | who asks |
| ``model_not_found``, ``not_found``, ``method_not_allowed`` | 404, 405 | what is asked |
| ``body_too_large``, ``unsupported_media_type`` | 413, 415 | |
| ``rate_limit_exceeded`` | 429 | the key asks too often, or too much at once |
| ``server_full``, ``server_stopping``, ``model_loading``, ``timed_out``, ``log_unavailable`` | 503 | come again: after ``Retry-After`` seconds |
| ``engine_failed`` | 500 | the model could not answer |
"""

from __future__ import annotations

import math
from typing import Any

from tunesmith.errors import Problem, TunesmithError

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refusal(TunesmithError):  # noqa: N818
    """A request that is not answered.

    Args:
        message: why.
        code: what does not change.
        status: of HTTP.
        param: the field of the body that is meant.
        hint: what to do.
        retry_after_s: when it may be tried again.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status: int = 400,
        *,
        param: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, where=param, hint=hint)
        self.code, self.http_status, self.param, self.retry_after_s = code, status, param, retry_after_s


def full(message: str, retry_after_s: float, code: str = "server_full") -> Refusal:
    """Come again."""
    return Refusal(message, code, 503, retry_after_s=retry_after_s)


def failed(message: str) -> Refusal:
    """The model could not answer; the request was right."""
    return Refusal(message, "engine_failed", 500)


def told(error: TunesmithError) -> dict[str, Any]:
    """An error as OpenAI's clients read it, with every problem."""
    first = error.problems[0] if error.problems else error.headline
    several = len(error.problems) > 1
    message = _sentence(error.headline) if several or not error.problems else _sentence(first)
    found: dict[str, Any] = {
        "message": message if not several else f"{message}: {'; '.join(_sentence(one) for one in error.problems)}",
        "type": _TYPES.get(error.http_status, "invalid_request_error" if error.http_status < 500 else "server_error"),
        "param": getattr(error, "param", None) or field(first.where),
        "code": error.code,
    }
    if several:
        found["problems"] = [
            {"message": one.message, "param": field(one.where), "hint": one.hint} for one in error.problems
        ]
    return {"error": found}


def headers(error: TunesmithError) -> dict[str, str]:
    """What tells a client when to come again."""
    after = getattr(error, "retry_after_s", None)
    if after is not None:
        return {"Retry-After": str(max(1, math.ceil(after))), "retry-after-ms": str(max(1, round(1000 * after)))}
    return {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else {}


def field(where: str | None) -> str | None:
    """The name of the field, out of where a problem is.

    >>> field("request parameter top_p"), field("input 3")
    ('top_p', 'input 3')
    """
    return None if where is None else where.removeprefix("request parameter ")


def _sentence(problem: Problem) -> str:
    where = field(problem.where)
    text = problem.message if where is None or where in problem.message else f"{where}: {problem.message}"
    return f"{text} ({problem.hint})" if problem.hint else text
