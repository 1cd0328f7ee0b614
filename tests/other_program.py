"""A server of another program, for tests: chat by transformers' ``generate`` over a bundle's weights, in llama.cpp's terms.

Truncations run before the temperature, unless ``samplers`` says otherwise; where nothing is asked its own defaults hold.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from answering import answering
from tunesmith import predict
from tunesmith.text import dialogue

DEFAULTS: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
ORDER = ("top_k", "top_p", "min_p", "temperature")
KNOWN = {"model", "messages", "max_tokens", "seed", "stop", "n", "samplers", "repeat_penalty", "repeat_last_n", "ignore_eos",
         "frequency_penalty", "presence_penalty", "typical_p", "top_n_sigma", "xtc_probability", "xtc_threshold", *DEFAULTS}  # fmt: skip
_WARPERS: dict[str, Any] = {
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}
_OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


class Server(ThreadingHTTPServer):
    """What it was asked, and how it should behave.

    Args:
        first: statuses with headers and messages that it answers with before anything else.
        delay_s: how long it takes for an answer.
        breaks_after: answers after which it fails with 500; None: never.
    """

    daemon_threads = False

    def __init__(self, bundle: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        opened = predict.load(bundle, "pytorch")
        network: Any = opened.engine.network
        self.network, self.tokenizer = network.backbone.model, opened.tokenizer
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.owner, self.models = "llamacpp", ["bot"]
        self.first: list[tuple[int, dict[str, str], str]] = []
        self.delay_s = 0.0
        self.breaks_after: int | None = None
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = torch.tensor([dialogue.prompt_ids(self.tokenizer, body["messages"])])
        asked = {**DEFAULTS, **body}
        order = [name for name in body.get("samplers", ORDER) if name in _WARPERS]
        draws = asked["temperature"] > 0 or "temperature" not in order
        warpers = [_WARPERS[name](asked[name]) for name in order if asked[name] != _OFF[name]] if draws else []
        with self.lock:
            torch.manual_seed(body["seed"])
            found = self.network.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                logits_processor=LogitsProcessorList(warpers),
                do_sample=draws,
                max_new_tokens=body.get("max_tokens", 16),
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
                **(_OFF if draws else {}),
            )
        tokens = found[0, prompt.shape[1] :].tolist()
        ended = self.tokenizer.eos_token_id in tokens
        message = {"role": "assistant", "content": self.tokenizer.decode(tokens, skip_special_tokens=True)}
        return {
            "choices": [{"index": 0, "message": message, "finish_reason": "stop" if ended else "length"}],
            "usage": {"completion_tokens": len(tokens)},
        }


@contextmanager
def serving(bundle: Path) -> Iterator[Server]:
    """A server while it lasts."""
    with answering(Server(bundle)) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._send(404, {"error": {"message": "not found"}})
        models = [{"id": name, "owned_by": self.server.owner} for name in self.server.models]
        return self._send(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.keys.append(self.headers.get("Authorization"))
            count, first = len(self.server.asked), self.server.first.pop(0) if self.server.first else None
        time.sleep(self.server.delay_s)
        if first is not None:
            return self._send(first[0], {"error": {"message": first[2]}}, **first[1])
        if self.server.breaks_after is not None and count > self.server.breaks_after:
            return self._send(500, {"error": {"message": "out of memory"}})
        if unknown := body.keys() - KNOWN:
            return self._send(400, {"error": {"message": f"unknown: {', '.join(sorted(unknown))}"}})
        if body.get("top_k") == 13:
            return self._send(400, {"error": {"message": "top_k of 13 brings bad luck"}})
        return self._send(200, self.server.answer(body))

    def _send(self, status: int, body: dict[str, Any], **headers: str) -> None:
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            return
