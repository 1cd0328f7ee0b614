"""A line in the log for each request that is over: who, what, how it ended, how long it took. Texts only if asked for.

| field | what |
|---|---|
| ``id``, ``key`` | the request's id, as the caller sees it; the name of its key |
| ``method``, ``route``, ``model``, ``version``, ``engine`` | what was asked |
| ``status``, ``code``, ``stream`` | how it ended |
| ``duration_s``, ``queue_s``, ``first_token_s`` | seconds; see ``Record`` |
| ``prompt_tokens``, ``tokens``, ``cached_tokens``, ``finish_reasons`` | what was read and written |
| ``parameters`` | those that differ from the bundle's own |
| ``inputs``, ``answers`` | with ``--log-texts`` |
"""

from __future__ import annotations

import logging
from typing import Any

from tunesmith.serving.record import Observer, Record
from tunesmith.serving.state import Serving

_LOG = logging.getLogger("tunesmith.requests")
_HEARTBEATS = ("/health", "/ready", "/metrics")
_LOOKED = (200, 503)
_PLAIN = (
    "id", "key", "method", "route", "model", "version", "engine", "status", "code", "stream", "prompt_tokens", "tokens",
    "cached_tokens", "finish_reasons",
)  # fmt: skip
_TIMES = ("duration_s", "queue_s", "first_token_s")


def observer(serving: Serving) -> Observer:
    """Logs; what only looks whether the server lives is for ``--log-level debug``."""
    texts = serving.options.log_texts

    def log(record: Record) -> None:
        level = level_of(record)
        if _LOG.isEnabledFor(level):
            message = f"{record.method} {record.route} {record.status}"
            _LOG.log(level, message, extra={"fields": _fields(record, texts=texts)})

    return log


def level_of(record: Record) -> int:
    """How much a request matters to whoever reads the log."""
    if record.status in (500, 502) or record.code == "engine_failed":
        return logging.ERROR
    return logging.DEBUG if record.route in _HEARTBEATS and record.status in _LOOKED else logging.INFO


def _fields(record: Record, *, texts: bool) -> dict[str, Any]:
    found = {name: value for name in _PLAIN if (value := getattr(record, name)) not in ("", None, (), 0, False)}
    found |= {name: round(value, 6) for name in _TIMES if (value := getattr(record, name)) is not None}
    if record.changed:
        found["parameters"] = dict(record.changed)
    if texts:
        found |= {"inputs": list(record.inputs), "answers": list(record.answers)}
    return found
