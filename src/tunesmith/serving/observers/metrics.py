"""Counts for Prometheus, with the names that dashboards of vLLM know, under the prefix ``tunesmith:``.

Every label is bounded: models that are served, routes that there are, codes of errors. A name that a caller makes up
never becomes one. What a model has that runs or waits is counted by its requests, since several may share a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tunesmith.serving import live
from tunesmith.serving.gaps import Gaps
from tunesmith.serving.record import Record
from tunesmith.serving.state import Serving

_PREFIX = "tunesmith:"
_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
)  # fmt: skip
_TURNED_AWAY = (429, 503)
_MODEL = ("model_name",)


class Metrics:
    """An observer that counts.

    Args:
        serving: whose models and log are looked at when somebody asks.
    """

    def __init__(self, serving: Serving) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._gaps: dict[str, Gaps] = {}
        self._registry.register(_Now(serving, self._gaps))
        self._prompt_tokens = self._counter("prompt_tokens", "Tokens read.")
        self._tokens = self._counter("generation_tokens", "Tokens written.")
        self._cached_tokens = self._counter("cached_tokens", "Tokens of prompts that were known and not read anew.")
        self._looked_up = self._counter(
            "prefix_cache_queries", "Tokens of prompts that were looked up among those known."
        )
        self._known = self._counter("prefix_cache_hits", "Those of them that were known.")
        self._answered = self._counter("request_success", "Requests answered.", *_MODEL, "finished_reason")
        self._refused = self._counter("admission_rejections", "Requests turned away.", "reason")
        self._requests = self._counter("requests", "Requests.", "route", "method", "status")
        self._whole = self._seconds("e2e_request_latency", "From when a request came until all was sent.")
        self._queue = self._seconds("request_queue_time", "How long a request waited for its turn.")
        self._first = self._seconds("time_to_first_token", "Until the first token was written.")
        self._token = self._seconds("request_time_per_output_token", "Between two tokens, the mean of a request.")

    def __call__(self, record: Record) -> None:
        """Count a request."""
        self._requests.labels(record.route, record.method, str(record.status)).inc()
        if record.status in _TURNED_AWAY and record.code:
            self._refused.labels(record.code).inc()
        if not record.model or record.asked_s is None:
            return
        self._prompt_tokens.labels(record.model).inc(record.prompt_tokens)
        self._tokens.labels(record.model).inc(record.tokens)
        self._cached_tokens.labels(record.model).inc(record.cached_tokens)
        if record.finish_reasons:
            self._looked_up.labels(record.model).inc(record.prompt_tokens)
            self._known.labels(record.model).inc(record.cached_tokens)
        if record.token_s is not None:
            self._gaps.setdefault(record.model, Gaps()).merge(record.gaps)
        if (reason := finished_reason(record)) is not None:
            self._answered.labels(record.model, reason).inc()
        times = ((self._whole, record.duration_s), (self._queue, record.queue_s), (self._token, record.token_s))
        for histogram, seconds in (*times, (self._first, record.first_token_s)):
            if seconds is not None:
                histogram.labels(record.model).observe(seconds)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, help, labels or _MODEL, registry=self._registry)

    def _seconds(self, name: str, help: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}_seconds", help, _MODEL, registry=self._registry, buckets=_SECONDS)


class _Now:
    """What is looked up when somebody asks."""

    def __init__(self, serving: Serving, gaps: dict[str, Gaps]) -> None:
        self._serving, self._gaps = serving, gaps

    def collect(self) -> Iterator[Metric]:
        """How busy each model is, which there are, whether all answer, and what came too often to be told one by one."""
        running = _gauge("num_requests_running", "Inputs that are being answered.")
        waiting = _gauge("num_requests_waiting", "Inputs that wait for their turn.")
        cache = _gauge("kv_cache_usage_perc", "Share of the rows that are taken in the model's batch, 0 to 1.")
        info = _gauge("model_info", "The models that are served.", *_MODEL, "version", "task", "engine")
        deaths = CounterMetricFamily(_PREFIX + "worker_deaths", "How often the model's thread died.", labels=_MODEL)
        loads = live.loads(self._serving)
        for served in self._serving.models:
            name, own = [served.name], [load for one, load in loads.items() if one.name == served.name]
            running.add_metric(name, sum(load.running for load in own))
            waiting.add_metric(name, sum(load.waiting for load in own))
            cache.add_metric(name, served.worker.load.cache)
            deaths.add_metric(name, served.worker.deaths)
            info.add_metric([*name, str(served.version), served.task, served.engine], 1)
        ready = _gauge("ready", "Whether every model answers.")
        ready.add_metric([], float(self._serving.ready))
        yield from (running, waiting, cache, info, deaths, ready, *self._lost(), self._between())

    def _lost(self) -> Iterator[Metric]:
        lines = CounterMetricFamily(_PREFIX + "log_lines_lost", "Lines of the log that could not be written.")
        lines.add_metric([], 0 if self._serving.logs is None else self._serving.logs.lost)
        yield lines
        kept: Any = self._serving.observers.get("kept")
        if kept is not None:
            told = "Predictions, or requests with theirs, that the prediction log could not take."
            rows = CounterMetricFamily(_PREFIX + "prediction_log_lost", told)
            rows.add_metric([], kept.recorder.counts.lost)
            yield rows

    def _between(self) -> Metric:
        found = HistogramMetricFamily(
            f"{_PREFIX}inter_token_latency_seconds", "Between two tokens of a text.", labels=_MODEL
        )
        for name, gaps in list(self._gaps.items()):
            found.add_metric([name], buckets=gaps.up_to(), sum_value=gaps.sum_s)
        return found


def _gauge(name: str, help: str, *labels: str) -> Any:
    return GaugeMetricFamily(_PREFIX + name, help, labels=() if name == "ready" else labels or _MODEL)


def finished_reason(record: Record) -> str | None:
    """How the answers of a request ended, the least whole one; None: it has none.

    ``answer`` is that of a task that does not write, ``abort`` of a request whose caller went away.
    """
    if record.code == "client_gone":
        return "abort"
    if record.status != 200 or record.code is not None:
        return None
    order = ("error", "cancelled", "length")
    return next((one for one in order if one in record.finish_reasons), "stop" if record.finish_reasons else "answer")


def observer(serving: Serving) -> Metrics:
    """Always there."""
    return Metrics(serving)
