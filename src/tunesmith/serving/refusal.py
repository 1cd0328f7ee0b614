"""Errors: a message, the parameter, and a code that does not change (``CODES``), in the form that OpenAI's clients read; clients
of Hugging Face and KServe read a text, and the rest stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tunesmith.errors import Problem, TunesmithError

CODES: dict[str, tuple[int, str]] = {
    "invalid_http": (400, "What came is no request of HTTP/1.1."),
    "invalid_json": (400, "The body is no JSON object, or holds what JSON has not."),
    "invalid_value": (400, "A value is illegal, or does not go with another."),
    "missing_value": (400, "A value is needed and not given."),
    "unknown_parameter": (400, "Nobody knows a parameter of that name."),
    "unsupported_parameter": (400, "This model or engine cannot honour the parameter."),
    "unsupported_model": (400, "The model's task has no answers of this kind."),
    "context_length_exceeded": (400, "Prompt and answer are longer than the model's context."),
    "input_too_long": (400, "A text is longer than the server takes."),
    "too_many_inputs": (400, "More inputs than the server takes in one request."),
    "too_many_tokens": (400, "More tokens are asked for than the server gives in one request."),
    "invalid_data": (400, "An input does not fit the task."),
    "invalid_bundle": (400, "The model is damaged."),
    "invalid_api_key": (401, "No API key, or one that is not known."),
    "loading_not_allowed": (403, "The bundle may not be loaded while the server runs."),
    "missing_scope": (403, "The API key may not do this."),
    "model_not_found": (404, "There is no model of that name."),
    "bundle_not_found": (404, "There is no such bundle below the folder of bundles."),
    "trial_not_found": (404, "No second version of the model is on trial."),
    "not_found": (404, "There is no such path, or nothing of that id."),
    "method_not_allowed": (405, "The path has no such method."),
    "head_too_slow": (408, "The request's first lines did not arrive in time."),
    "body_too_slow": (408, "The body did not arrive in time."),
    "own_time_passed": (
        408,
        "The request's own time passed before it was its turn, or before an answer was whole that is not cut.",
    ),
    "conflict": (409, "It does not go with what the server has or does now."),
    "body_too_large": (413, "The body is larger than the server takes."),
    "unsupported_media_type": (415, "The body is not called JSON, or is packed."),
    "head_too_large": (431, "The request's first lines are larger than 64 KiB."),
    "rate_limit_exceeded": (429, "The key asks too often, or too much at once; again after Retry-After seconds."),
    "engine_failed": (500, "The model could not answer; 502 where it is computed by another server."),
    "server_full": (503, "Too much waits; again after Retry-After seconds."),
    "server_stopping": (503, "The server or the model is going away; again after Retry-After seconds."),
    "model_loading": (503, "The model is not there yet; again after Retry-After seconds."),
    "log_unavailable": (503, "The log of predictions cannot be read now; again after Retry-After seconds."),
    "timed_out": (
        503,
        "The request's time passed before it was its turn, or before an answer was whole that is not cut; again after Retry-After seconds.",
    ),
}
"""Every code with its status of HTTP and when it comes."""

_LONGEST, _MOST_PROBLEMS = 2000, 100
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


def of_problems(problems: Sequence[Problem], code: str) -> Refusal:
    """The refusal of fields that are wrong in the same way, of which the first is the one meant."""
    first = problems[0]
    if len(problems) == 1:
        return Refusal(first.message, code, param=first.where, hint=first.hint)
    refused = Refusal(f"{len(problems)} parameters cannot be taken", code)
    refused.problems, refused.param = tuple(problems), first.where
    return refused


def full(message: str, retry_after_s: float, code: str = "server_full") -> Refusal:
    """Come again."""
    return Refusal(message, code, 503, retry_after_s=retry_after_s)


def late(*, own_time: bool, begun: bool = False) -> Refusal:
    """Its time passed while it waited: the time that the caller gave it, or the longest of any request.

    Args:
        own_time: whether it was the caller's.
        begun: whether it was being answered, by what gives whole answers only.
    """
    waited = "its answer was not there after" if begun else "it waited"
    if own_time:
        how_long = "the time that the request gives it" if begun else "as long as the request says that it may take"
        return Refusal(f"{waited} {how_long}", "own_time_passed", 408, param="time")
    how_long = "the longest time of a request" if begun else "as long as a request may take"
    return full(f"{waited} {how_long}", 1.0, "timed_out")


def failed(message: str) -> Refusal:
    """The model could not answer; the request was right."""
    return Refusal(message, "engine_failed", 500)


def told(error: TunesmithError, *, plain: bool = False) -> dict[str, Any]:
    """An error with every problem, as OpenAI's clients read it; plain: ``error`` is the message, and the rest beside it."""
    first = error.problems[0] if error.problems else error.headline
    several = len(error.problems) > 1
    message = _sentence(error.headline) if several or not error.problems else _sentence(first)
    if several:
        message = f"{message}: {'; '.join(_sentence(one) for one in error.problems)}"
    found: dict[str, Any] = {
        "message": _shown(message),
        "type": _TYPES.get(error.http_status, "invalid_request_error" if error.http_status < 500 else "server_error"),
        "param": _shown(getattr(error, "param", None) or field(first.where)),
        "code": error.code,
    }
    if several:
        found["problems"] = [
            {"message": _shown(one.message), "param": _shown(field(one.where)), "hint": one.hint}
            for one in error.problems[:_MOST_PROBLEMS]
        ]
    return {"error": found.pop("message"), **found} if plain else {"error": found}


def _shown(text: str | None) -> str | None:
    """A text that may repeat what the caller sent; of a very long one the beginning, and how much more there is."""
    if text is None or len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} ... and {len(text) - _LONGEST:,} characters more"


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
