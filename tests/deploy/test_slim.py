"""The slim image: a server runs with the packages of its list alone, starts quickly and stays small."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deployed import DEPLOY, ROOT
from tunesmith import config as configs
from tunesmith import exporting
from tunesmith.train import run as runs

LIST = DEPLOY / "requirements-slim.txt"
READY_S, MEMORY_MB = 5.0, 400.0

SERVER = """
import json, sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

listed, most = [Requirement(line.strip()) for line in open(sys.argv[1]) if line[0] != "#"], set()
while listed:  # with what they need themselves
    one = listed.pop()
    name = canonicalize_name(one.name)
    if name not in most and (one.marker is None or one.marker.evaluate({"extra": ""})):
        most.add(name)
        listed += map(Requirement, metadata.requires(name) or ())
owners = metadata.packages_distributions()
here = {name: set(map(canonicalize_name, each)) for name, each in owners.items()}

class Only:
    def find_spec(self, name, *rest):
        top = name.partition(".")[0]
        if top != "tunesmith" and top in here and not here[top] & most:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
from tunesmith.cli import main
code = main(sys.argv[2:])
loaded = {owner for name in list(sys.modules) if name in here for owner in here[name]}
print(json.dumps([code, sorted(loaded - {"tunesmith"})]))
"""


@contextmanager
def slim(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process that can import what the list brings, and nothing else; where it listens."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", SERVER, str(LIST), "serve", f"model={folder}", "--port", "0"]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        told = ""
        while (line := process.stdout.readline()) and not line.startswith("ready: "):
            told += line
        assert line, told
        yield process, line.split()[1]
    finally:
        process.kill()
        process.communicate()


def asked(url: str, texts: list[str]) -> dict[str, Any]:
    body = json.dumps({"inputs": texts}).encode()
    request = urllib.request.Request(f"{url}/v1/predict/model", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def resident_mb(process: int) -> float:
    told = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", told)[1]) / 1024  # type: ignore[index]


@pytest.fixture(scope="module")
def bundle(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With its own weights and an export, as it is after `tunesmith export BUNDLE --to onnx`."""
    out = str(tmp_path_factory.mktemp("slim") / "run")
    given = parameters("binary", count=80, out=out, **{"train.max_steps": 2})
    folder = runs.train(configs.resolve(keywords=given, environment={}), quiet=True).folder
    exporting.export(folder, "onnx")
    return folder


def test_each_line_of_the_list_is_one_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    known = {*project["dependencies"], *extras["serve"], *extras["onnx"], *extras["sql"]}
    lines = [line for line in LIST.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert set(lines) <= known
    assert lines == sorted(lines)
    assert set(extras["serve"]) <= set(lines)
    assert set(extras["onnx"]) <= set(lines)


def test_a_server_answers_with_the_packages_of_the_list_alone(bundle: Path) -> None:
    import tunesmith

    texts = ["a fine film", "a dull plot"]
    with slim(bundle) as (process, url):
        answered = asked(url, texts)
        opened = {os.path.realpath(file) for file in Path(f"/proc/{process.pid}/fd").glob("*")}
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert answered["answers"] == tunesmith.load(bundle, "onnx").answers(texts)
    assert answered["engine"] == "onnx", "PyTorch is not here, so the export answers"
    assert not [file for file in opened if file.endswith("onnxruntime.db")], "nothing is kept to be told to its makers"
    code, loaded = json.loads(out.splitlines()[-1])
    assert code == 0
    assert not {"torch", "transformers", "pandas", "scikit-learn", "matplotlib", "nltk", "peft"} & set(loaded)
    listed = {re.match(r"[\w-]+", line)[0] for line in LIST.read_text().splitlines() if line[0] != "#"}  # type: ignore[index]
    assert listed - set(loaded) <= {"prometheus-client", "sqlalchemy"}, (
        "of the list only what counts and keeps may lie idle"
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_it_starts_quickly_and_stays_small(bundle: Path) -> None:
    began = time.monotonic()
    with slim(bundle) as (process, url):
        ready_s = time.monotonic() - began
        for _ in range(20):
            asked(url, ["a fine film"] * 16)
        memory_mb = resident_mb(process.pid)
    assert ready_s < 3 * READY_S, "on a machine that has other work, too"
    assert memory_mb < MEMORY_MB - 130, "a model of 22 million weights takes 90 MB in 32 bits, and its passes 40"
