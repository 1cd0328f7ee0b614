"""A real server over bundles, in a thread of the test's process, reached through the loopback."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tunesmith import params
from tunesmith.serving import app, connections
from tunesmith.serving.options import Options
from tunesmith.serving.state import Serving


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Served:
    """A server that runs: where, and its state."""

    url: str
    serving: Serving

    def get(self, path: str, **headers: str) -> Reply:
        return self._ask(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, body: Any, method: str = "POST", **headers: str) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        return self._ask(urllib.request.Request(self.url + path, content, sent, method=method))

    def events(self, path: str, body: Any, **headers: str) -> list[Any]:
        """The objects of a stream of events, to ``[DONE]``."""
        sent = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), sent)
        with urllib.request.urlopen(request, timeout=60) as answer:
            lines = [line.decode().strip() for line in answer]
        told = [line.removeprefix("data: ") for line in lines if line]
        assert told[-1] == "[DONE]"
        return [json.loads(one) for one in told[:-1]]

    def _ask(self, request: urllib.request.Request) -> Reply:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return _reply(answer.status, answer)
        except urllib.error.HTTPError as error:
            return _reply(error.code, error)


def _reply(status: int, answer: Any) -> Reply:
    content = answer.read()
    try:
        body = json.loads(content)
    except ValueError:
        body = content.decode()
    return Reply(status, body, {name.lower(): value for name, value in answer.headers.items()})


@contextmanager
def running(folders: Mapping[str, str | Path], **options: Any) -> Iterator[Served]:
    """Serve bundles while it lasts."""
    serving = Serving.of(params.check(Options, options))
    for name, folder in folders.items():
        serving.models.load(name, folder)
    serving.loading = False
    more: Any = {"http": connections.of(serving), "ws": "none", "lifespan": "off", "log_config": None}
    config = uvicorn.Config(app.build(serving), host="127.0.0.1", port=0, **more)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", serving)
    finally:
        server.should_exit = True
        thread.join(10)
        serving.close()
