"""The shell's client: texts and files, by every route, with the server's own words for what goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tunesmith import cli


class Server(ThreadingHTTPServer):
    """Answers in the forms of the protocol, as it is told to; keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.first: list[tuple[int, dict[str, str], Any]] = []
        self.models = ["m"]
        self.cut = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": name} for name in self.server.models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body, self.headers.get("Authorization")))
        if self.server.first:
            status, headers, told = self.server.first.pop(0)
            return self._send(status, told, headers)
        if body.get("stream"):
            return self._stream(body)
        if self.path.startswith("/v1/predict/"):
            return self._send(200, {"answers": [{"label": "good", "of": one} for one in body["inputs"]]})
        if self.path == "/v1/embeddings":
            return self._send(200, {"data": [{"embedding": [0.5, 1.0]}]})
        if self.path == "/v1/chat/completions":
            return self._send(200, {"choices": [{"message": {"content": body["messages"][-1]["content"].upper()}}]})
        return self._send(200, {"choices": [{"text": body["prompt"].upper()}]})

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        pieces = [{"choices": [{"index": 0, "delta": {"content": one}}]} for one in ("one ", "two")]
        other = {"choices": [{"index": 1, "delta": {"content": "not this"}}]}
        error = [{"error": {"message": "the engine failed", "code": "engine_failed"}}] if body.get("seed") == 13 else []
        for piece in [*pieces, other, {"choices": []}, *error]:
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        if not self.server.cut:
            self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, status: int, told: Any, headers: dict[str, str] | None = None) -> None:
        content = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def call(server: Server, capsys) -> Callable[..., tuple[int, str, str]]:
    def ask(*words: str) -> tuple[int, str, str]:
        code = cli.main(["request", server.url, *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return ask


def test_texts_are_answered_one_a_line(server, call):
    code, out, _ = call("a film", '{"text": "a", "text_pair": "b"}', "--top_k", "3", "--threshold", "0.5")
    assert code == 0
    assert [json.loads(line)["of"] for line in out.splitlines()] == ["a film", {"text": "a", "text_pair": "b"}]
    path, body, key = server.asked[0]
    assert (path, key) == ("/v1/predict/m", None)
    assert body == {"inputs": ["a film"], "top_k": 3, "threshold": 0.5}


def test_each_route_is_asked_in_its_form(server, call):
    assert call("hello", "--route", "chat", "--temperature", "0.2", "--stop", "5,END")[1] == "HELLO\n"
    assert call("hello", "--route", "completions", "--model", "other")[1] == "HELLO\n"
    assert call("hello", "--route", "embeddings")[1] == "[0.5, 1.0]\n"
    assert json.loads(call("hello", "--route", "completions", "--json")[1]) == {"choices": [{"text": "HELLO"}]}
    messages = '[{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]'
    assert call(messages, "--route", "chat")[1] == "HI\n"
    told = [(path, body) for path, body, _ in server.asked]
    assert told[0] == ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.2, "stop": ["5", "END"]})  # fmt: skip
    assert told[1] == ("/v1/completions", {"model": "other", "prompt": "hello"})
    assert told[2] == ("/v1/embeddings", {"model": "m", "input": "hello"})
    assert len(told[4][1]["messages"]) == 2


def test_the_key_comes_from_a_variable_and_is_in_no_message(server, call, monkeypatch):
    monkeypatch.setenv("TUNESMITH_KEY", "ts-one")
    monkeypatch.setenv("OTHER", "ts-other")
    call("a")
    call("a", "--key-variable", "OTHER")
    assert [key for *_, key in server.asked] == ["Bearer ts-one", "Bearer ts-other"]
    server.first = [(401, {}, {"error": {"message": "there is no such API key", "code": "invalid_api_key"}})]
    code, _, err = call("a")
    assert code == 2
    assert "there is no such API key [invalid_api_key]" in err
    assert "ts-one" not in err


def test_a_stream_is_printed_as_it_comes(server, call):
    code, out, _ = call("a", "--route", "chat", "--stream")
    assert (code, out) == (0, "one two\n")
    assert server.asked[0][1]["stream"] is True
    code, out, err = call("a", "--route", "chat", "--stream", "--seed", "13")
    assert (code, out) == (1, "one two")
    assert "the engine failed [engine_failed]" in err
    server.cut = True
    code, _, err = call("a", "--route", "chat", "--stream")
    assert code == 1
    assert "broke off" in err


def test_a_full_server_is_waited_for(server, call):
    full = {"error": {"message": "full", "code": "server_full"}}
    server.first = [(503, {"Retry-After": "0"}, full), (429, {"Retry-After": "0"}, full)]
    code, out, _ = call("a")
    assert code == 0
    assert json.loads(out)["of"] == "a"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "told", "code", "message"),
    [
        (400, {"error": {"message": "unknown parameter 'x'", "code": "unknown_parameter"}}, 2, "unknown parameter 'x' [unknown_parameter]"),
        (404, {"error": "no such model"}, 2, "no such model"),
        (422, b"not json", 2, "422"),
        (500, {"error": {"message": "the engine failed", "code": "engine_failed"}}, 1, "the engine failed [engine_failed]"),
        (502, b"", 1, "502"),
        (200, b"not json", 1, "no JSON"),
        (200, {"nothing": 1}, 1, "another form"),
        (302, {}, 2, "302"),
    ],
)  # fmt: skip
def test_errors_are_told_as_the_server_tells_them(server, call, status, told, code, message):
    server.first = [(status, {}, told)]
    found, out, err = call("a")
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_a_server_that_stays_full_is_the_servers_failure_and_a_limit_the_callers(server, call, monkeypatch):
    monkeypatch.setattr("tunesmith.asked_over_http.time.sleep", lambda _: None)
    for status, code in ((503, 1), (429, 2)):
        server.first = [(status, {}, {"error": {"message": "come again", "code": "x"}})] * 6
        assert call("a")[0] == code
        assert server.first == []


def test_a_file_is_asked_row_by_row_and_keeps_its_columns(server, call, tmp_path):
    rows, out = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    rows.write_text("text,id\na film,1\na plot,2\n")
    code, _, err = call("--input", str(rows), "--output", str(out), "--top_k", "1")
    assert code == 0, err
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["text"], str(row["id"]), row["prediction"]["label"]) for row in found] == [("a film", "1", "good"), ("a plot", "2", "good")]  # fmt: skip
    assert "2 rows" in err
    assert call("--input", str(rows), "--output", str(out))[0] == 2  # it is there already


def test_a_row_that_is_refused_keeps_no_other_from_its_answer(server, call, tmp_path):
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text('{"text": "a"}\n{"text": "b"}\n')
    server.first = [(400, {}, {"error": {"message": "too long", "code": "context_length_exceeded"}})]
    code, _, _ = call("--input", str(rows), "--output", str(out), "--route", "completions")
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 2
    assert "too long" in found[0]["error"]
    assert found[1]["prediction"] == "B"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a", "--input", "x"],
        ["a", "--output", "x"],
        ["a", "--stream"],
        ["a", "--route", "nowhere"],
        ["a", "--ca", "/none"],
    ],
)
def test_a_mistake_in_the_call_is_one_error(call, words):
    code, _, err = call(*words)
    assert code == 2
    assert err.startswith("error:")


@pytest.mark.parametrize("url", ["nowhere", "ftp://a", "http://user:secret@host", "http://127.0.0.1:1"])
def test_what_is_no_server_is_told(url, capsys):
    code = cli.main(["request", url, "a", "--model", "m"])
    err = capsys.readouterr().err
    assert code == (1 if url.endswith(":1") else 2)
    assert "secret" not in err


def test_several_models_need_a_name(server, call):
    server.models = ["a", "b"]
    code, _, err = call("text")
    assert code == 2
    assert "one of: a, b" in err


def test_the_real_server_is_asked_as_it_wants_to_be(bundles_of_one: Path, capsys):
    from served import running

    with running({"reviews": bundles_of_one}) as real:
        assert cli.main(["request", real.url, "a fine film", "--model", "reviews", "--top_k", "2"]) == 0
        assert len(json.loads(capsys.readouterr().out)["top"]) == 2
        assert cli.main(["request", real.url, "a", "--model", "reviews", "--treshold", "0.5"]) == 2
        assert "threshold" in capsys.readouterr().err


@pytest.fixture
def bundles_of_one(run) -> Path:
    return run("binary").folder
