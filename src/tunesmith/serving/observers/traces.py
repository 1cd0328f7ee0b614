"""Traces by OpenTelemetry: a span for each request, with children for the time in the queue and the time of answering.

Attributes follow the conventions for generative AI (``gen_ai.*``) and HTTP servers. Spans are sent from a thread of its own; a
collector that cannot be reached costs requests nothing, and what it misses is dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tunesmith.errors import UsageError
from tunesmith.serving.record import Observer, Record
from tunesmith.serving.state import Serving

_EXTRA = "pip install 'tunesmith[trace]'"
_EXPORT_S = 5.0
_LAST_SPANS_S = 3.0
_OPERATIONS = {"chat": "chat", "completions": "text_completion", "embeddings": "embeddings"}
_SENT = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop": "stop_sequences",
    "seed": "seed",
    "n": "choice.count",
}
"""Request parameters, and what they are called in ``gen_ai.request``."""


class Traces:
    """An observer that sends spans.

    Args:
        exporter: where they go; ``SpanExporter`` of OpenTelemetry.
    """

    def __init__(self, exporter: Any) -> None:
        from importlib.metadata import version

        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = Resource.create({"service.name": "tunesmith", "service.version": version("tunesmith")})
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tunesmith")

    def __call__(self, record: Record) -> None:
        """A request's spans."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        above = TraceContextTextMapPropagator().extract({"traceparent": record.trace_parent or ""})
        name = (
            f"{operation(record)} {record.model}" if record.asked_s is not None else f"{record.method} {record.route}"
        )
        span = self._tracer.start_span(
            name, above, trace.SpanKind.SERVER, attributes=attributes(record), start_time=_ns(record.at)
        )
        if failed(record):
            span.set_status(trace.Status(trace.StatusCode.ERROR, record.code))
        within = trace.set_span_in_context(span, above)
        if record.asked_s is not None and record.queue_s is not None:
            began = record.at + record.asked_s
            self._child("queue", within, began, record.queue_s)
            if record.answering_s is not None:
                self._child("answering", within, began + record.queue_s, record.answering_s)
        span.end(_ns(record.at + record.duration_s))

    def close(self) -> None:
        """Send what is left, if somebody takes it within a moment."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_LAST_SPANS_S)

    def _child(self, name: str, within: Any, at: float, seconds: float) -> None:
        self._tracer.start_span(name, within, start_time=_ns(at)).end(_ns(at + seconds))


def operation(record: Record) -> str:
    """What the conventions call it: chat, text_completion, embeddings; the others by their task."""
    last = record.route.rstrip("/").rpartition("/")[2]
    found = "chat" if record.route.endswith("chat/completions") else last
    return _OPERATIONS.get(found, record.task or "request")


def failed(record: Record) -> bool:
    """Whether the server failed at it; a stream keeps its 200, and a request that was wrong is no failure."""
    return record.status >= 500 or (record.status == 200 and record.code not in (None, "client_gone"))


def attributes(record: Record) -> dict[str, Any]:
    """What a span says of a request."""
    found: dict[str, Any] = {
        "http.request.method": record.method,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "tunesmith.request.id": record.id,
        "error.type": record.code,
    }
    if record.asked_s is not None:
        found |= _of_model(record)
    return {name: value for name, value in found.items() if value is not None}


def _of_model(record: Record) -> dict[str, Any]:
    asked: Mapping[str, Any] = {
        f"gen_ai.request.{called}": record.parameters.get(name) for name, called in _SENT.items()
    }
    return {
        "gen_ai.operation.name": operation(record),
        "gen_ai.provider.name": "tunesmith",
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.model,
        "gen_ai.response.id": record.id,
        **{name: (value or None) if isinstance(value, list) else value for name, value in asked.items()},
        "gen_ai.response.finish_reasons": list(record.finish_reasons) or None,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.tokens,
        "gen_ai.server.time_to_first_token": record.first_token_s,
        "tunesmith.engine": record.engine,
        "tunesmith.version": record.version,
    }


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def observer(serving: Serving) -> Observer | None:
    """Where ``--trace`` names a place.

    Raises:
        UsageError: it is no address, or OpenTelemetry is not installed.
    """
    place = serving.options.trace
    if place is None:
        return None
    try:
        return Traces(_exporter(place))
    except ModuleNotFoundError as error:
        raise UsageError(f"traces need {error.name}", where="--trace", hint=_EXTRA) from None


def _exporter(place: str) -> Any:
    if place == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    from urllib.parse import urlsplit

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    parts = urlsplit(place)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("is no address of a collector", where=f"--trace {place}", hint="http://HOST:4318, or console")
    path = parts.path if parts.path.strip("/") else "/v1/traces"
    return OTLPSpanExporter(parts._replace(path=path).geturl(), timeout=_EXPORT_S)
