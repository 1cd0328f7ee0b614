"""The line of a request: who, what, how long, and no text of anybody unless asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import letters
from holding import held, until
from served import Served, running
from tunesmith.serving import keys
from tunesmith.serving.logs import told

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
SECRET = "a word that nobody may read"


def folders(bundles: Callable[..., Path]) -> dict[str, Path]:
    return {"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)}


@pytest.fixture(scope="module")
def server(bundles: Callable[..., Path], tmp_path_factory) -> Iterator[tuple[Served, dict[str, str]]]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    key = {"Authorization": f"Bearer {keys.add(file, 'bob', ('infer',))}"}
    with letters.route(), running(folders(bundles), keys=str(file)) as made:
        yield made, key


@pytest.fixture
def lines(caplog) -> Callable[[], list[dict]]:
    caplog.set_level(logging.DEBUG, "tunesmith.requests")

    def found(count: int = 1) -> list[dict]:
        """All of them, once there are so many: a request is told of after its answer is sent."""

        def all_told() -> list[dict]:
            return [json.loads(told(one)) for one in list(caplog.records) if one.name == "tunesmith.requests"]

        until(lambda: len(all_told()) >= count)
        return all_told()

    return found


def test_a_request_is_one_line(server, lines):
    one, key = server
    reply = one.post("/v1/predict/chat", {"inputs": SECRET, "max_tokens": 5, "ignore_eos": True, "temperature": 0.5}, **key, **{"X-Request-Id": "mine"})  # fmt: skip
    (line,) = lines()
    assert reply.headers["x-request-id"] == line["id"] == "mine"
    assert (line["key"], line["method"], line["route"]) == ("bob", "POST", "/v1/predict/{model}")
    assert (line["model"], line["engine"], line["status"], line["level"]) == ("chat", "pytorch", 200, "info")
    assert (line["tokens"], line["finish_reasons"]) == (5, ["length"])
    assert line["prompt_tokens"] == reply.body["usage"]["prompt_tokens"]
    assert line["parameters"] == {"max_tokens": 5, "ignore_eos": True, "temperature": 0.5}
    assert 0 < line["queue_s"] < line["first_token_s"] < line["duration_s"]


def test_parameters_that_are_as_usual_are_left_out(server, lines):
    one, key = server
    one.post("/v1/predict/reviews", {"inputs": "a film", "top_k": 1}, **key)
    (line,) = lines()
    assert "parameters" not in line


def test_no_text_of_anybody_is_in_the_log(server, lines):
    one, key = server
    formed = {"type": "regex", "regex": SECRET}
    for more in ({"stop": SECRET}, {"response_format": formed}, {"bad_words": [SECRET]}, {"nothing": SECRET}):
        one.post("/v1/predict/chat", {"inputs": SECRET, **more}, **key)
    one.events(letters.PATH, {"inputs": SECRET}, **key)
    one.post(f"/v1/predict/{SECRET.replace(' ', '-')}", {"inputs": SECRET}, **key)
    one.get(f"/{SECRET.replace(' ', '-')}?q={SECRET.replace(' ', '+')}", **key)
    found = lines(7)
    assert len(found) == 7
    assert SECRET not in json.dumps(found)
    assert SECRET.replace(" ", "-") not in json.dumps(found)
    assert found[0]["parameters"]["stop"] == [f"<{len(SECRET)} characters>"]


def test_texts_are_there_when_asked_for(bundles: Callable[..., Path], lines):
    with running(folders(bundles), **{"log-texts": True}) as one:
        reply = one.post("/v1/predict/reviews", {"inputs": SECRET})
        one.post("/v1/predict/chat", {"inputs": SECRET, "stop": "END"})
    first, second = lines(2)
    assert (first["inputs"], first["answers"]) == ([SECRET], reply.body["answers"])
    assert second["parameters"]["stop"] == ["END"]


@pytest.mark.parametrize(
    ("ask", "level", "code"),
    [
        (lambda one, key: one.post("/v1/predict/reviews", {"inputs": "a"}), "info", "invalid_api_key"),
        (lambda one, key: one.post("/v1/predict/reviews", b"{", **key), "info", "invalid_json"),
        (lambda one, key: one.get("/health"), "debug", None),
        (lambda one, key: one.get("/nothing", **key), "info", "not_found"),
    ],
)
def test_how_much_a_line_matters(server, lines, ask, level, code):
    ask(*server)
    (line,) = lines()
    assert (line["level"], line.get("code")) == (level, code)


def test_a_mistake_of_the_server_has_its_traceback(server, lines, caplog, monkeypatch):
    from tunesmith.serving import checking

    def wrong(*_, **__):
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr(checking, "limits", wrong)
    one, key = server
    reply = one.post("/v1/predict/reviews", {"inputs": "a film"}, **key)
    assert reply.status == 500
    assert "somewhere" not in json.dumps(reply.body)
    (line,) = lines()
    assert (line["level"], line["code"]) == ("error", "engine_failed")
    error = next(json.loads(told(one)) for one in caplog.records if one.name == "tunesmith.serving")
    assert error["error"]["type"] == "ZeroDivisionError"
    assert "in wrong" in error["error"]["traceback"]
    assert line["id"] in error["message"]


def test_who_went_away_is_told_as_gone(server, lines):
    import socket
    from urllib.parse import urlsplit

    one, key = server
    parts = urlsplit(one.url)
    body = json.dumps({"inputs": "a film"})
    head = f"POST /v1/predict/chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nAuthorization: {key['Authorization']}\r\n\r\n"
    writer = one.serving.models.find("chat").worker
    with held(writer):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall((head + body).encode())
            until(lambda: len(writer.queue) == 1)
        lines()
    (line,) = lines()
    assert (line["status"], line["code"]) == (499, "client_gone")
