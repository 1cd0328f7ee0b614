"""The way of a request: answers, refusals, ids."""

from __future__ import annotations

import gc
import http.client
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from holding import until
from served import Served, running
from tunesmith.serving import keys
from tunesmith.serving.call import Call


def test_texts_are_answered_as_the_model_answers_them(served: Served) -> None:
    texts = ["a fine film", "a dull plot"]
    reply = served.post("/v1/predict/reviews", {"inputs": texts})
    assert reply.status == 200, reply.body
    model = served.serving.models.find("reviews").model
    assert reply.body["answers"] == model.answers(texts)
    assert reply.body["effective_parameters"]["top_k"] == 1
    assert reply.headers["x-request-id"]


def test_a_conversation_is_answered(served: Served) -> None:
    reply = served.post("/v1/predict/chat", {"inputs": "a fine film", "max_tokens": 4})
    assert reply.status == 200, reply.body
    assert reply.body["usage"]["completion_tokens"] <= 4


def test_an_unknown_parameter_is_refused_with_the_nearest_name(served: Served) -> None:
    reply = served.post("/v1/predict/reviews", {"inputs": "a film", "treshold": 0.5})
    assert reply.status == 400
    assert reply.body["error"]["code"] == "unknown_parameter"
    assert reply.body["error"]["param"] == "treshold"
    assert "threshold" in reply.body["error"]["message"]
    dropped = served.post("/v1/predict/reviews", {"inputs": "a film", "treshold": 0.5, "on_unsupported": "drop"})
    assert dropped.status == 200
    assert dropped.body["dropped_parameters"] == ["treshold"]


def test_a_path_that_is_not_there(served: Served) -> None:
    assert served.get("/nothing").body["error"]["code"] == "not_found"
    assert served.get("/v1/predict/reviews").body["error"]["code"] == "method_not_allowed"
    assert served.post("/v1/predict/reviewz", {"inputs": "a"}).body["error"]["code"] == "model_not_found"


def test_a_request_that_is_over_leaves_nothing_for_the_garbage_collector(served: Served) -> None:
    for path in ("/v1/predict/reviews", "/v1/predict/chat"):
        served.post(path, {"inputs": "a film"})
    until(lambda: not served.serving.live.calls)
    gc.collect()
    gc.disable()
    try:
        for path in 3 * ("/v1/predict/reviews", "/v1/predict/chat"):
            assert served.post(path, {"inputs": "a film"}).status == 200
        until(lambda: not any(isinstance(one, Call) for one in gc.get_objects()))
    finally:
        gc.enable()


def preflight(server: Served, origin: str) -> tuple[int, dict[str, str]]:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    connection.request("OPTIONS", "/v1/predict/reviews", headers=headers)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status, {name.lower(): value for name, value in reply.getheaders()}


def test_no_page_may_ask_unless_its_origin_is_named(served: Served) -> None:
    status, headers = preflight(served, "https://example.org")
    assert status == 405
    assert not [name for name in headers if name.startswith("access-control")]
    reply = served.post("/v1/predict/reviews", {"inputs": "a film"}, Origin="https://example.org")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_pages_of_named_origins_may_ask_with_their_key(bundles: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    key = keys.add(file, "page", ("infer",))
    origin = "https://example.org"
    with running({"reviews": bundles("binary")}, keys=str(file), cors=(origin,)) as server:
        status, headers = preflight(server, origin)  # browsers send no key with it
        assert (status, headers["access-control-allow-origin"]) == (200, origin)
        assert "authorization" in headers["access-control-allow-headers"].lower()
        assert preflight(server, "https://elsewhere.org")[0] == 400
        body = {"inputs": "a film"}
        reply = server.post("/v1/predict/reviews", body, Origin=origin, Authorization=f"Bearer {key}")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, origin)
        assert "retry-after" in reply.headers["access-control-expose-headers"]
        refused = server.post("/v1/predict/reviews", body, Origin=origin)
        assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, origin)


def test_who_goes_away_before_anything_is_sent_leaves_nothing_behind(served: Served) -> None:
    parts = urlsplit(served.url)
    for _ in range(20):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(b"POST /v1/predict/reviews HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    until(lambda: served.serving.gate.inside == 0)


def test_an_id_that_is_none_is_not_passed_on(served: Served) -> None:
    for given in ("a" * 200, "a b", "<script>"):
        told = served.get("/health", **{"X-Request-Id": given}).headers["x-request-id"]
        assert told != given
        assert len(told) == 32
