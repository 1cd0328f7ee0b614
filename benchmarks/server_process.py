"""A server in a process of its own, for the benchmarks that ask one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """A server in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]
    ready_s: float

    @property
    def memory_mb(self) -> float:
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", told)[1]) / 1024  # type: ignore[index]

    @property
    def has_torch(self) -> bool:
        return "libtorch" in Path(f"/proc/{self.process.pid}/maps").read_text()

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def get(self, path: str) -> str | None:
        """What is there; None: nothing, or not yet."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return None


@contextmanager
def serving(command: Sequence[str], ready: str = "/ready") -> Iterator[Running]:
    """A server, as soon as it is ready; PORT in the command is one that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [word.replace("PORT", str(port)) for word in command]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(words, stdout=told, stderr=told, env=environment)
        server = Running(f"http://127.0.0.1:{port}", process, 0.0)
        try:
            while server.get(ready) is None:
                if process.poll() is not None:
                    told.seek(0)
                    raise SystemExit(f"{' '.join(words)} did not start:\n{told.read().decode()[-2000:]}")
                time.sleep(0.02)
            yield Running(server.url, process, time.perf_counter() - began)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ours(*words: str) -> list[str]:
    return [sys.executable, "-m", "tunesmith", "serve", *words, "--port", "PORT"]
