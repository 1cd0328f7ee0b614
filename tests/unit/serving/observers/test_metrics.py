"""What is counted, under which names, and that no caller can make a series."""

from __future__ import annotations

import json
import queue
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

import letters
from holding import held, slow, until
from served import Served, running
from tunesmith.serving import keys
from tunesmith.serving.observers import metrics
from tunesmith.serving.record import Record

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
LONG = {"inputs": "a fine film", "max_tokens": 32, "ignore_eos": True}


@pytest.fixture
def server(bundles: Callable[..., Path]) -> Iterator[Served]:
    folders = {"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)}
    with letters.route(), running(folders, **{"max-waiting": 1}) as made:
        yield made


def samples(server: Served) -> dict[str, float]:
    """Every sample by its name and labels."""
    reply = server.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(reply.body)
    return {
        one.name + "".join(f"|{name}={value}" for name, value in sorted(one.labels.items())): one.value
        for family in families
        for one in family.samples
    }


def test_an_answer_is_counted_as_vllm_would_count_it(server: Served):
    reply = server.post("/v1/predict/chat", LONG)
    usage, chat = reply.body["usage"], "|model_name=chat"
    found = samples(server)
    assert found[f"tunesmith:prompt_tokens_total{chat}"] == usage["prompt_tokens"]
    assert found[f"tunesmith:generation_tokens_total{chat}"] == usage["completion_tokens"] == 32
    assert found[f"tunesmith:request_success_total|finished_reason=length{chat}"] == 1
    every = ("time_to_first_token", "request_time_per_output_token", "e2e_request_latency", "request_queue_time")
    for name in every:
        assert found[f"tunesmith:{name}_seconds_count{chat}"] == 1
    assert found[f"tunesmith:inter_token_latency_seconds_count{chat}"] == 31
    assert found[f"tunesmith:inter_token_latency_seconds_bucket|le=+Inf{chat}"] == 31
    mean_s = found[f"tunesmith:request_time_per_output_token_seconds_sum{chat}"]
    assert found[f"tunesmith:inter_token_latency_seconds_sum{chat}"] == pytest.approx(31 * mean_s)
    parts = [found[f"tunesmith:{name}_seconds_sum{chat}"] for name in ("request_queue_time", "time_to_first_token", "e2e_request_latency")]  # fmt: skip
    assert 0 < parts[0] < parts[1] < parts[2]
    assert found["tunesmith:requests_total|method=POST|route=/v1/predict/{model}|status=200"] == 1
    assert f"tunesmith:cached_tokens_total{chat}" in found
    assert found[f"tunesmith:prefix_cache_queries_total{chat}"] == usage["prompt_tokens"]
    assert found[f"tunesmith:prefix_cache_hits_total{chat}"] == found[f"tunesmith:cached_tokens_total{chat}"]


def test_tokens_of_several_texts_are_each_counted_after_the_one_before_in_their_text(server: Served):
    with slow(server.serving.models.find("chat").worker, 0.02):
        server.post("/v1/predict/chat", {**LONG, "inputs": ["a fine film", "a dull plot"], "max_tokens": 5})
    found, chat = samples(server), "|model_name=chat"
    assert found[f"tunesmith:inter_token_latency_seconds_count{chat}"] == 2 * 4
    assert found[f"tunesmith:inter_token_latency_seconds_bucket|le=0.01{chat}"] == 0


def test_who_goes_away_in_the_middle_was_written_for_until_then(server: Served):
    writer = server.serving.models.find("chat").worker
    with slow(writer, 0.05):
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port)) as line:
            content = json.dumps(LONG).encode()
            line.sendall(
                b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (letters.PATH.encode(), len(content))
            )
            line.sendall(content)
            assert line.recv(16)
            until(lambda: writer.load.running == 1)
            time.sleep(0.2)
        until(lambda: server.serving.gate.inside == 0)
    found, chat = samples(server), "|model_name=chat"
    assert found[f"tunesmith:request_success_total|finished_reason=abort{chat}"] == 1
    assert 1 < found[f"tunesmith:inter_token_latency_seconds_count{chat}"] < 31


def test_a_beginning_that_was_known_is_counted(server: Served):
    text = "a fine film " * 12
    for _ in range(2):
        server.post("/v1/predict/chat", {**LONG, "inputs": text, "max_tokens": 2})
    found = samples(server)
    assert (
        0
        < found["tunesmith:cached_tokens_total|model_name=chat"]
        < found["tunesmith:prompt_tokens_total|model_name=chat"]
    )


def test_how_busy_it_is_is_looked_up_when_asked(server: Served):
    writer = server.serving.models.find("chat").worker
    found = samples(server)
    assert found["tunesmith:num_requests_running|model_name=chat"] == 0
    assert found["tunesmith:ready"] == 1
    info = "tunesmith:model_info|engine=pytorch|model_name=chat|task=chat|version="
    assert [value for name, value in found.items() if name.startswith(info)] == [1]
    with slow(writer, 0.05), letters_in_background(server) as done:
        until(lambda: writer.load.running == 1)
        found = samples(server)
        assert found["tunesmith:num_requests_running|model_name=chat"] == 1
        assert found["tunesmith:kv_cache_usage_perc|model_name=chat"] == pytest.approx(1 / 16)
    assert done
    with held(writer), letters_in_background(server, join=False):
        until(lambda: len(writer.queue) == 1)
        assert samples(server)["tunesmith:num_requests_waiting|model_name=chat"] == 1
        assert server.post("/v1/predict/chat", LONG).status == 503
    found = samples(server)
    assert found["tunesmith:admission_rejections_total|reason=server_full"] == 1
    with pytest.raises(ZeroDivisionError):
        writer.between(lambda _: 1 / 0)
    until(lambda: writer.ready and writer.deaths == 1)
    assert samples(server)["tunesmith:worker_deaths_total|model_name=chat"] == 1


def test_models_that_share_a_worker_are_counted_each_for_itself(bundles: Callable[..., Path]):
    folders = {
        "chat": bundles("conversations", **WRITES),
        "other": bundles("conversations", **WRITES, **{"train.seed": 1}),
    }
    with running(folders) as server:
        worker = server.serving.models.find("chat").worker
        assert server.serving.models.find("other").worker is worker
        with ThreadPoolExecutor(3) as pool:
            with held(worker):
                asked = [pool.submit(server.post, f"/v1/predict/{name}", LONG) for name in ("chat", "chat", "other")]
                until(lambda: len(worker.queue) == 3)
                waiting = samples(server)
                listed = {one["name"]: one["load"]["waiting"] for one in server.get("/v1/admin/models").body["models"]}
            with slow(worker, 0.05):
                until(lambda: worker.load.running == 3)
                going = samples(server)
            assert [one.result().status for one in asked] == [200] * 3
        assert waiting["tunesmith:num_requests_waiting|model_name=chat"] == listed["chat"] == 2
        assert waiting["tunesmith:num_requests_waiting|model_name=other"] == listed["other"] == 1
        assert waiting["tunesmith:num_requests_running|model_name=chat"] == 0
        assert going["tunesmith:num_requests_running|model_name=chat"] == 2
        assert going["tunesmith:num_requests_running|model_name=other"] == 1
        assert going["tunesmith:num_requests_waiting|model_name=other"] == 0
        assert samples(server)["tunesmith:num_requests_running|model_name=chat"] == 0


def test_predictions_that_were_lost_are_counted(bundles: Callable[..., Path], tmp_path: Path):
    with running({"reviews": bundles("binary")}, **{"prediction-log": str(tmp_path / "log.db")}) as server:
        assert samples(server)["tunesmith:prediction_log_lost_total"] == 0
        kept = server.serving.observers["kept"]
        with mock.patch.object(kept.recorder._waiting, "put_nowait", side_effect=queue.Full):  # type: ignore[attr-defined]
            server.post("/v1/predict/reviews", {"inputs": "a film"})
            until(lambda: samples(server)["tunesmith:prediction_log_lost_total"] == 1)


class letters_in_background:  # noqa: N801
    """A stream that goes on meanwhile."""

    def __init__(self, server: Served, *, join: bool = True) -> None:
        import threading

        self.found: list = []
        self._join = join
        self._thread = threading.Thread(
            target=lambda: self.found.extend(server.events(letters.PATH, LONG)), daemon=True
        )

    def __enter__(self) -> list:
        self._thread.start()
        return self.found

    def __exit__(self, *_) -> None:
        if self._join:
            self._thread.join(30)


def test_names_that_callers_make_up_make_no_series(server: Served):
    def make_up(tag: object) -> None:
        server.post(f"/v1/predict/made-up-{tag}", {"inputs": "a"})
        server.get(f"/made/up/{tag}")
        server.post("/v1/predict/reviews", {"inputs": "a", f"made_up_{tag}": 1})

    make_up("first")
    server.post("/nothing", {}, "PURGE")
    before = len(samples(server))
    for number in range(50):
        make_up(number)
    for method in ("LINK", "MKCOL", "SOURCE"):
        server.post("/nothing", {}, method)
    found = samples(server)
    assert not [name for name in found if "made" in name or "MKCOL" in name]
    assert len(found) == before + 1  # that of /metrics itself
    assert found["tunesmith:requests_total|method=GET|route=unknown|status=404"] == 51
    assert found["tunesmith:requests_total|method=other|route=unknown|status=404"] == 4


def test_who_may_read_them(bundles: Callable[..., Path], tmp_path):
    file = tmp_path / "keys.json"
    infer, read = keys.add(file, "a", ("infer",)), keys.add(file, "b", ("metrics",))
    with running({"reviews": bundles("binary")}, keys=str(file), **{"key-requests-per-minute": 1}) as server:
        assert server.get("/metrics").status == 401
        assert server.get("/metrics", Authorization=f"Bearer {infer}").status == 403
        statuses = [server.get("/metrics", Authorization=f"Bearer {read}").status for _ in range(5)]
        assert statuses == [200] * 5  # whoever looks after a server is not held up by its limits


def test_each_server_counts_for_itself(bundles: Callable[..., Path]):
    with running({"reviews": bundles("binary")}) as one, running({"reviews": bundles("binary")}) as other:
        one.post("/v1/predict/reviews", {"inputs": "a film"})
        name = "tunesmith:request_success_total|finished_reason=answer|model_name=reviews"
        assert samples(one)[name] == 1
        assert name not in samples(other)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "answer"),
        ({"finish_reasons": ("stop", "stop")}, "stop"),
        ({"finish_reasons": ("stop", "length")}, "length"),
        ({"finish_reasons": ("stop", "error")}, "error"),
        ({"code": "client_gone"}, "abort"),
        ({"code": "engine_failed"}, None),
        ({"status": 400, "code": "invalid_value"}, None),
    ],
)
def test_how_a_request_ended(more, reason):
    plain = {"id": "1", "route": "/", "method": "POST", "status": 200, "at": 0.0, "duration_s": 0.1}
    assert metrics.finished_reason(Record(**{**plain, **more})) == reason
