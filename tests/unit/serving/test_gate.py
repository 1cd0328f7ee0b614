"""How often and how much at once a key may ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holding import held, until
from served import running
from tunesmith.serving import keys


@pytest.fixture
def two_keys(tmp_path):
    file = tmp_path / "keys.json"
    return str(file), [{"Authorization": f"Bearer {keys.add(file, name, ('infer',))}"} for name in ("a", "b")]


def test_a_key_that_asks_too_often_is_told_when_it_may_again(bundles: Callable[..., Path], two_keys):
    file, (one, other) = two_keys
    with running({"reviews": bundles("binary")}, keys=file, **{"key-requests-per-minute": 3}) as server:
        body = {"inputs": "a film"}
        assert [server.post("/v1/predict/reviews", body, **one).status for _ in range(4)] == [200, 200, 200, 429]
        refused = server.post("/v1/predict/reviews", body, **one)
        assert refused.body["error"]["code"] == "rate_limit_exceeded"
        assert refused.body["error"]["type"] == "rate_limit_error"
        assert 1 <= int(refused.headers["retry-after"]) <= 20  # three a minute: one in twenty seconds
        assert int(refused.headers["retry-after-ms"]) <= 20_000
        assert server.post("/v1/predict/reviews", body, **other).status == 200
        assert server.get("/health").status == 200


def test_a_key_that_asks_too_much_at_once_waits_for_its_own(bundles: Callable[..., Path], two_keys):
    file, (one, other) = two_keys
    with running({"reviews": bundles("binary")}, keys=file, **{"key-concurrent": 1}) as server:
        worker, first = server.serving.models.find("reviews").worker, []
        with held(worker):
            asking = threading.Thread(
                target=lambda: first.append(server.post("/v1/predict/reviews", {"inputs": "a film"}, **one))
            )
            asking.start()
            until(lambda: len(worker.queue) == 1)
            refused = server.post("/v1/predict/reviews", {"inputs": "a film"}, **one)
            assert (refused.status, refused.headers["retry-after"]) == (429, "1")
            asked = threading.Thread(
                target=lambda: first.append(server.post("/v1/predict/reviews", {"inputs": "a film"}, **other))
            )
            asked.start()
            until(lambda: len(worker.queue) == 2)
        asking.join()
        asked.join()
        assert [reply.status for reply in first] == [200, 200]
        assert server.post("/v1/predict/reviews", {"inputs": "a film"}, **one).status == 200
        until(lambda: server.serving.gate.inside == 0)
