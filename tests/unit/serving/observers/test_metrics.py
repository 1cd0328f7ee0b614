"""What is counted, under which names, and that no caller can make a series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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
    for name in ("time_to_first_token", "inter_token_latency", "e2e_request_latency", "request_queue_time"):
        assert found[f"tunesmith:{name}_seconds_count{chat}"] == 1
    parts = [found[f"tunesmith:{name}_seconds_sum{chat}"] for name in ("request_queue_time", "time_to_first_token", "e2e_request_latency")]  # fmt: skip
    assert 0 < parts[0] < parts[1] < parts[2]
    assert found["tunesmith:requests_total|method=POST|route=/v1/predict/{model}|status=200"] == 1
    assert f"tunesmith:cached_tokens_total{chat}" in found


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
