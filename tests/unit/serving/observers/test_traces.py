"""Spans as the conventions have them, below whoever asked, and no request waits for a collector."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import letters
from holding import held, slow, until
from served import Served, running
from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.serving.observers import traces
from tunesmith.serving.options import Options
from tunesmith.serving.record import Record
from tunesmith.serving.state import Serving
from tunesmith.serving.worker import Worker

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PLAIN = {"id": "1", "route": "/", "method": "POST", "status": 200, "at": 1e9, "duration_s": 0.1}


@pytest.fixture
def server(bundles: Callable[..., Path], monkeypatch) -> Iterator[tuple[Served, Callable[[], list]]]:
    """A server, and the spans that it has sent so far."""
    kept = InMemorySpanExporter()
    monkeypatch.setattr(traces, "_exporter", lambda _: kept)
    folders = {"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)}
    with letters.route(), running(folders, trace="http://anywhere") as made:

        def spans(count: int = 1) -> list:
            """All of them, once there are so many: a request is told of after its answer is sent."""

            def told() -> tuple:
                made.serving.observers["traces"]._provider.force_flush()
                return kept.get_finished_spans()

            until(lambda: len(told()) >= count)
            return list(told())

        yield made, spans
        made.serving.close()


def test_a_request_is_a_span_with_what_it_asked_and_got(server):
    one, spans = server
    asked = {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "max_tokens": 6, "frequency_penalty": 0.1, "presence_penalty": 0.2,
             "stop": ["END"], "seed": 4, "ignore_eos": True}  # fmt: skip
    reply = one.post("/v1/predict/chat", {"inputs": "a film", **asked}, traceparent=PARENT, **{"x-request-id": "mine"})
    assert reply.status == 200
    queue, answering, span = spans(3)
    told = dict(span.attributes)
    for name in ("temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty", "seed"):
        assert told[f"gen_ai.request.{name}"] == asked[name]
    assert told["gen_ai.request.stop_sequences"] == ("END",)
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"]) == ("chat", "chat")
    assert told["gen_ai.response.finish_reasons"] == ("length",)
    assert told["gen_ai.usage.input_tokens"] == reply.body["usage"]["prompt_tokens"]
    assert told["gen_ai.usage.output_tokens"] == 6
    assert 0 < told["gen_ai.server.time_to_first_token"] < 10
    assert (told["tunesmith.request.id"], told["http.response.status_code"]) == ("mine", 200)
    assert span.status.is_unset
    assert f"{span.context.trace_id:032x}" == PARENT[3:35]
    assert f"{span.parent.span_id:016x}" == PARENT[36:52]
    assert [queue.name, answering.name] == ["queue", "answering"]
    assert {queue.parent.span_id, answering.parent.span_id} == {span.context.span_id}
    assert span.start_time <= queue.start_time <= queue.end_time == answering.start_time
    assert answering.end_time <= span.end_time
    assert abs(span.start_time / 1e9 - time.time()) < 60


def test_no_text_of_anybody_is_in_a_span(server):
    one, spans = server
    one.post("/v1/predict/reviews", {"inputs": "a word that nobody may read"})
    assert "nobody may read" not in "".join(span.to_json() for span in spans(3))


def test_what_the_server_failed_at_is_marked_and_what_was_asked_wrongly_is_not(server):
    one, spans = server
    one.post("/v1/predict/reviews", {"inputs": "a", "nothing": 1})
    one.get("/nothing")
    with held(one.serving.models.find("chat").worker):
        one.post("/v1/predict/chat", {"inputs": "a", "time": 0.1})
    writer = one.serving.models.find("chat").worker
    with slow(writer, 0.02):
        threading.Timer(0.3, _kill, [writer]).start()
        one.events(letters.PATH, {"inputs": "a", "max_tokens": 48, "ignore_eos": True})
    wrong, nowhere, late, *_, stream = spans(5)
    assert (wrong.status.is_unset, wrong.attributes["error.type"]) == (True, "unknown_parameter")
    assert (nowhere.status.is_unset, nowhere.name) == (True, "GET unknown")
    assert not late.status.is_ok
    assert (late.status.description, late.attributes["http.response.status_code"]) == ("timed_out", 503)
    assert (stream.status.description, stream.attributes["http.response.status_code"]) == ("engine_failed", 200)


def _kill(writer: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        writer.between(lambda _: 1 / 0)


def test_a_parent_that_is_not_sampled_is_followed(server):
    one, spans = server
    one.post("/v1/predict/reviews", {"inputs": "a"}, traceparent=f"{PARENT[:-2]}00")
    one.post("/v1/predict/reviews", {"inputs": "a"}, traceparent="nonsense")
    assert len(spans(3)) == 3  # those of the second alone
    assert spans()[-1].parent is None


@pytest.mark.parametrize(
    ("route", "task", "name"),
    [
        ("/v1/chat/completions", "chat", "chat"),
        ("/v1/completions", "chat", "text_completion"),
        ("/v1/embeddings", "sentence-similarity", "embeddings"),
        ("/v1/predict/{model}", "translation", "translation"),
    ],
)
def test_what_is_done_is_called_as_the_conventions_call_it(route, task, name):
    assert traces.operation(Record(**{**PLAIN, "route": route, "task": task})) == name


class Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.taken: list[tuple[str, ExportTraceServiceRequest]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def log_message(self, *_) -> None:
        return

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, ExportTraceServiceRequest.FromString(content)))
        self.send_response(200)
        self.end_headers()


def test_a_collector_takes_them_and_those_left_at_the_end(bundles: Callable[..., Path]):
    collector = Collector()
    with running({"reviews": bundles("binary")}, trace=f"http://127.0.0.1:{collector.server_address[1]}") as one:
        one.post("/v1/predict/reviews", {"inputs": "a"})
        one.serving.close()
    ((path, taken),) = collector.taken
    assert path == "/v1/traces"
    spans = taken.resource_spans[0].scope_spans[0].spans
    assert [span.name for span in spans] == ["queue", "answering", "text-classification reviews"]
    collector.shutdown()
    collector.server_close()


def test_a_collector_that_is_not_there_or_never_answers_costs_nothing(bundles: Callable[..., Path]):
    silent = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
    gone = socket.create_server(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    gone.close()
    for place in (silent.getsockname()[1], port):
        with running({"reviews": bundles("binary")}, trace=f"http://127.0.0.1:{place}") as one:
            began = time.monotonic()
            assert all(one.post("/v1/predict/reviews", {"inputs": "a"}).status == 200 for _ in range(50))
            assert time.monotonic() - began < 5
            began = time.monotonic()
            one.serving.close()
            assert time.monotonic() - began < 5
    silent.close()


@pytest.mark.parametrize("place", ["nowhere", "ftp://host", "http://"])
def test_what_is_no_address_is_refused(place):
    with pytest.raises(UsageError, match="collector"):
        Serving.of(params.check(Options, {"trace": place}))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"tunesmith\[trace\]"):
        Serving.of(params.check(Options, {"trace": "http://127.0.0.1:4318"}))
