"""A small server of OpenAI's protocol, for tests: completions by the engine here, over a tiny model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from answering import answering
from tunesmith.generation.decode import generate
from tunesmith.generation.request import GenerationRequest

_PLAIN = {
    "model", "prompt", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "n", "seed", "stop",
    "logit_bias",
}  # fmt: skip
_MORE = {
    "top_k", "min_p", "repetition_penalty", "min_tokens", "stop_token_ids", "ignore_eos", "allowed_token_ids", "logprobs",
    "return_tokens_as_token_ids",
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """What it was asked, and how it should behave."""

    daemon_threads = True

    def __init__(self, model: Any, tokenizer: Any, *, vllm: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer, self.vllm = model, tokenizer, vllm
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.models = ["tiny"]
        self.full: list[tuple[int, dict[str, str]]] = []
        self.delay_s = 0.0
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def serving(model: Any, tokenizer: Any, *, vllm: bool = True) -> Iterator[Server]:
    """A server while it lasts."""
    with answering(Server(model, tokenizer, vllm=vllm)) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        owner = "vllm" if self.server.vllm else "someone"
        if self.path == "/v1/models":
            self._send(
                200, {"object": "list", "data": [{"id": name, "owned_by": owner} for name in self.server.models]}
            )
        elif self.path == "/version" and self.server.vllm:
            self._send(200, {"version": "0.11.0"})
        else:
            self._send(404, {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            full = self.server.full.pop(0) if self.server.full else None
        if self.server.delay_s:
            threading.Event().wait(self.server.delay_s)
        if full:
            self._send(full[0], {"error": {"message": "full"}}, full[1])
            return
        unknown = set(body) - (_PLAIN | _MORE if self.server.vllm else _PLAIN)
        if unknown or body["model"] != "tiny":
            self._send(400, {"error": {"message": f"unknown: {', '.join(sorted(unknown)) or body['model']}"}})
            return
        with self.server.lock:
            self._send(200, self._answer(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        own = {
            key: value
            for key, value in body.items()
            if key not in ("model", "prompt", "logprobs", "return_tokens_as_token_ids")
        }
        top = body.get("logprobs")
        more = {} if top is None else {"logprobs": True, "top_logprobs": top}
        request = GenerationRequest(**{**own, **more})
        (answers,) = generate(self.server.model, self.server.tokenizer, [body["prompt"]], request)
        choices = []
        for number, answer in enumerate(answers):
            told = None
            if top is not None:
                told = {
                    "tokens": [f"token_id:{one.token}" for one in answer.logprobs],
                    "token_logprobs": [one.logprob for one in answer.logprobs],
                    "top_logprobs": [
                        {f"token_id:{token}": score for token, score in one.top} for one in answer.logprobs
                    ],
                }
            reason = {"finish_reason": answer.finish_reason, "stop_reason": answer.stopped_by}
            choices.append({"index": number, "text": answer.text, "logprobs": told, **reason})
        return {"choices": choices[::-1], "usage": {"completion_tokens": sum(len(answer.tokens) for answer in answers)}}

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except BrokenPipeError:
            return
