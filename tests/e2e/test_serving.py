"""`tunesmith serve` as a process: it starts, is told to stop, loses nothing, and says in one line why it cannot."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from holding import until
from served import Reply, Served, _reply
from tunesmith.serving import keys

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
LONG = {"inputs": "a fine film", "max_tokens": 100, "ignore_eos": True, "seed": 3}

RUNS = """
import sys, time
sys.path.insert(0, {tests!r})
{before}
from tunesmith.cli import main
sys.exit(main(sys.argv[1:]))
"""
SLOW_STEPS = """
from tunesmith.generation.decode import Scheduler
plain = Scheduler.step
Scheduler.step = lambda self: (time.sleep(0.03), plain(self))[1]
"""
LETTERS = "import letters\nkept = letters.route()\nkept.__enter__()\n"


@dataclass
class Process:
    """A server's process, and where it listens."""

    process: subprocess.Popen
    url: str
    log: Path

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return Served(self.url, None).post(path, body, **headers)  # type: ignore[arg-type]

    def get(self, path: str) -> Reply:
        return Served(self.url, None).get(path)  # type: ignore[arg-type]

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def ended(self, timeout_s: float = 60) -> int:
        return self.process.wait(timeout_s)


@contextmanager
def serving(
    folder: Path, words: Sequence[str], *, before: str = "", stderr: Any = None, ready: bool = True
) -> Iterator[Process]:
    """`tunesmith serve` with some words, at any port."""
    folder.mkdir(exist_ok=True)
    out, log = folder / "out", folder / "log"
    code = RUNS.format(tests=str(Path(__file__).parents[1]), before=before)
    call = [sys.executable, "-c", code, "serve", *words, "--port", "0", "--log-file", str(log)]
    with out.open("w") as output, (folder / "err").open("w") as errors:
        process = subprocess.Popen(call, stdout=output, stderr=errors if stderr is None else stderr)
    try:
        if ready:
            until(lambda: "ready: " in out.read_text() or process.poll() is not None, 120)
            assert process.poll() is None, (folder / "err").read_text()
        told = out.read_text()
        yield Process(process, told.split()[1] if ready else "", log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="module")
def folders(parameters: Callable[..., Mapping[str, Any]], tmp_path_factory) -> dict[str, Path]:
    """The bundles ``reviews`` (two labels) and ``chat``."""
    from tunesmith import config as configs
    from tunesmith.train import run as runs

    root = tmp_path_factory.mktemp("served")

    def trained(kind: str, name: str, **more: Any) -> Path:
        keywords = parameters(kind, count=40, out=str(root / name), **more)
        return runs.train(configs.resolve(keywords=keywords, environment={}), quiet=True).folder

    return {"reviews": trained("binary", "reviews"), "chat": trained("conversations", "chat", **WRITES)}


def asked_at_once(ask: Callable[[int], Any], count: int) -> tuple[list[threading.Thread], list[Any]]:
    found: list[Any] = [None] * count

    def one(number: int) -> None:
        try:
            found[number] = ask(number)
        except OSError as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


def test_told_to_stop_it_answers_what_it_let_in_and_nothing_more(folders, tmp_path):
    with serving(tmp_path, [str(folders["chat"])], before=SLOW_STEPS) as server:
        right = server.post("/v1/predict/chat", LONG).body["answers"]
        threads, found = asked_at_once(lambda _: server.post("/v1/predict/chat", LONG), 24)
        until(lambda: running(server) >= 24)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/ready").status == 503)
        refused = server.post("/v1/predict/chat", LONG)
        assert (refused.status, refused.body["error"]["code"]) == (503, "server_stopping")
        assert refused.headers["retry-after"]
        for thread in threads:
            thread.join(60)
        assert [reply.status for reply in found] == [200] * 24
        assert all(reply.body["answers"] == right for reply in found)
        assert server.ended() == 0
        answered = [line for line in server.lines() if line.get("status") == 200 and "predict" in line["message"]]
        assert len(answered) == 25


def test_told_to_stop_under_load_it_cuts_nobody_off(folders, tmp_path):
    with serving(tmp_path, [str(folders["reviews"])]) as server:
        told: list[Any] = []

        def ask(number: int) -> None:
            while True:
                try:
                    reply = server.post("/v1/predict/reviews", {"inputs": f"a film {number}"})  # a connection each
                except urllib.error.URLError as error:
                    told.append(type(error.reason))
                    return
                except OSError as error:
                    told.append(type(error))
                    return
                told.append(200 if reply.status == 200 else reply.body["error"]["code"])

        threads, _ = asked_at_once(ask, 12)
        until(lambda: told.count(200) > 50)
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 0
        for thread in threads:
            thread.join(60)
        refused = {"server_stopping", ConnectionRefusedError, ConnectionResetError}  # reset: it was never let in
        assert set(told) <= {200, *refused}, set(told)
        assert told.count(ConnectionRefusedError) + told.count(ConnectionResetError) == 12
        answered = [line for line in server.lines() if line.get("status") == 200 and "predict" in line["message"]]
        assert len(answered) == told.count(200)


def running(server: Process) -> float:
    """Inputs that wait or are answered."""
    lines = [line for line in server.get("/metrics").body.splitlines() if line.startswith("tunesmith:num_requests")]
    return sum(float(line.split()[-1]) for line in lines)


def test_a_stream_that_outlasts_the_drain_ends_with_an_error(folders, tmp_path):
    words = [str(folders["chat"]), "--drain-timeout", "0.5"]
    with serving(tmp_path, words, before=SLOW_STEPS + LETTERS) as server:
        request = urllib.request.Request(f"{server.url}/letters/chat", json.dumps(LONG).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            first = answer.readline()
            server.process.send_signal(signal.SIGTERM)
            rest = answer.read()
        assert first.startswith(b"data: ")
        *_, last, done = [line for line in rest.decode().splitlines() if line]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "server_stopping"
        assert done == "data: [DONE]"
        assert server.ended() == 0


def test_a_second_signal_ends_it_at_once(folders, tmp_path):
    with serving(tmp_path, [str(folders["chat"])], before=SLOW_STEPS) as server:
        threads, _ = asked_at_once(lambda _: server.post("/v1/predict/chat", LONG), 1)
        until(lambda: running(server) == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/ready").status == 503)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.ended() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 2
        for thread in threads:
            thread.join(60)


def test_told_to_stop_while_it_loads_it_stops(folders, tmp_path):
    before = "from tunesmith.serving.models import Models\nModels.load = lambda *_: time.sleep(600)\n"
    with serving(tmp_path, [str(folders["reviews"])], before=before, ready=False) as server:
        until(lambda: "is_loading" in ready_states(server, tmp_path), 60)
        server.process.send_signal(signal.SIGTERM)
        assert server.ended(20) == 0


def ready_states(server: Process, folder: Path) -> str:
    """Whether it listens already and says that it loads; its port stands in the kernel's list alone until it is ready."""
    assert server.process.poll() is None, (folder / "err").read_text()
    for port in listening(server.process.pid):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5)
        except urllib.error.HTTPError as error:
            return "is_loading" if error.code == 503 and b"loading" in error.read() else ""
        except OSError:
            return ""
    return ""


def listening(process: int) -> list[int]:
    """The ports at which a process listens."""
    own = set()
    for one in Path(f"/proc/{process}/fd").iterdir():
        with suppress(OSError):  # it may be closed meanwhile
            own.add(os.readlink(one))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]


def failing(folder: Path, *words: str) -> tuple[int, str]:
    call = [sys.executable, "-m", "tunesmith", "serve", *words]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    assert done.stdout == ""
    return done.returncode, done.stderr


def damaged(folders: Mapping[str, Path], folder: Path, name: str) -> Path:
    copied = folder / "damaged"
    shutil.copytree(folders["reviews"], copied)
    file = copied / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + (b"\n[" if file.suffix == ".yaml" else b""))
    return copied


@pytest.mark.parametrize(
    "mistake",
    [
        "no bundle",
        "model.safetensors",
        "bundle.json",
        "config.yaml",
        "tokenizer.json",
        "port",
        "host",
        "keys",
        "certificate",
        "log",
        "trace",
    ],
)
def test_what_cannot_be_served_is_one_message(folders, tmp_path, mistake):
    good = str(folders["reviews"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = {
            "no bundle": [str(tmp_path / "none")],
            "port": [good, "--port", str(taken.getsockname()[1])],
            "host": [good, "--host", "0.0.0.0", "--port", "0"],
            "keys": [good, "--keys", str(tmp_path / "none.json"), "--port", "0"],
            "certificate": [good, "--tls-certificate", __file__, "--tls-key", __file__, "--port", "0"],
            "log": [good, "--log-file", str(tmp_path / "none" / "log"), "--port", "0"],
            "trace": [good, "--trace", "nowhere", "--port", "0"],
        }.get(mistake) or [str(damaged(folders, tmp_path, mistake)), "--port", "0"]
        code, told = failing(tmp_path, *words)
    assert code == 2, told
    assert told.startswith("error: ")
    assert told.count("error: ") == 1
    assert "Traceback" not in told
    assert "{" not in told  # no line of a log beside it


@pytest.mark.parametrize("place", ["/dev/full", "a pipe that nobody reads"])
def test_a_log_that_nobody_takes_stops_nothing(folders, tmp_path, place):
    reading, writing = os.pipe()
    output = os.open("/dev/full", os.O_WRONLY) if place == "/dev/full" else writing
    words = [str(folders["reviews"]), "--log-texts", "--max-body-bytes", "10000000", "--max-input-chars", "1000000"]
    with serving(tmp_path, words, stderr=output) as server:
        long = {"inputs": "a film " * 700}
        assert server.post("/v1/predict/reviews", long).status == 200
        began = time.monotonic()
        for _ in range(40):
            assert server.post("/v1/predict/reviews", long).status == 200
        assert time.monotonic() - began < 60
        if place == "/dev/full":
            assert lost(server) > 0
        server.process.send_signal(signal.SIGTERM)
        assert server.ended(20) == 0
        assert len([line for line in server.lines() if line.get("status") == 200]) >= 41  # the file beside it is whole
    os.close(reading)
    os.close(writing)


def lost(server: Process) -> float:
    line = next(
        one for one in server.get("/metrics").body.splitlines() if one.startswith("tunesmith:log_lines_lost_total")
    )
    return float(line.split()[-1])


def test_a_full_disk_under_the_log_file_is_counted_and_stops_nothing(folders, tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    with serving(tmp_path, [str(folders["reviews"])]) as server:
        assert all(server.post("/v1/predict/reviews", {"inputs": "a"}).status == 200 for _ in range(20))
        until(lambda: lost(server) >= 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.ended(20) == 0


def test_https_by_a_certificate_and_keys_that_change(folders, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    file = tmp_path / "keys.json"
    key = keys.add(file, "bob", ("infer",))
    words = [
        "--tls-certificate",
        str(tmp_path / "cert.pem"),
        "--tls-key",
        str(tmp_path / "key.pem"),
        "--keys",
        str(file),
    ]
    with serving(tmp_path / "run", [str(folders["reviews"]), *words]) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

        def ask(key: str) -> int:
            request = urllib.request.Request(f"{server.url}/v1/predict/reviews", b'{"inputs": "a film"}')
            request.add_header("Content-Type", "application/json")
            request.add_header("Authorization", f"Bearer {key}")
            try:
                with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:
                    return _reply(answer.status, answer).status
            except urllib.error.HTTPError as error:
                return error.code

        assert ask(key) == 200
        call = [
            sys.executable,
            "-m",
            "tunesmith",
            "request",
            server.url,
            "a film",
            "--model",
            "reviews",
            "--ca",
            str(tmp_path / "ca.pem"),
        ]
        done = subprocess.run(
            call, capture_output=True, text=True, check=False, env={**os.environ, "TUNESMITH_KEY": key}
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "label" in json.loads(done.stdout)
        keys.remove(file, "bob")
        until(lambda: ask(key) == 401)
        again = keys.add(file, "bob", ("infer",))
        until(lambda: ask(again) == 200)
