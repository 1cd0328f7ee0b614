"""Requests that schemathesis makes up from the server's own description, legal and illegal ones, to models of all tasks.

    python -m benchmarks.fuzz [--cases 2000] [--seed 0]

Tiny models of every task are trained and served by a real server, which is asked through the loopback. No answer may be a
5xx, and each must be as the description says: status, content type, schema. Memory is that of the server's process, before
and after. The counts are appended to benchmarks/results.jsonl; anything wrong ends it with 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import small
import tiny
import tiny_generators
from benchmarks.accuracy import RESULTS
from fuzzing import Findings, fuzz
from tunesmith import config as configs
from tunesmith.train import run as runs

KINDS = (
    "binary", "multi-label", "regression", "pairs", "entities", "questions", "marked", "triples", "alike",
    "translations", "summaries", "conversations",
)  # fmt: skip
WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 4, "task.report_rows": 1, "adapter": "lora"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = {kind: trained(Path(folder), kind) for kind in KINDS}
        with serving(folders) as (url, process):
            models = {kind: small.options(kind)["task"] for kind in KINDS}
            fuzz(url, models, 200, options.seed + 1)  # what is loaded at first use is there
            before, began = resident_mb(process), time.monotonic()
            found = fuzz(url, models, options.cases, options.seed)
            took_s, grown = time.monotonic() - began, resident_mb(process) - before
    for one in found.wrong:
        print(one, file=sys.stderr)
    entry = told(found, took_s, grown)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry, indent=1))
    return 1 if found.wrong else 0


def trained(root: Path, kind: str) -> Path:
    """The bundle of a short run on a kind of rows."""
    writes = kind in small.WRITTEN
    base = root / ("llama" if writes else "bert")
    if not base.exists():
        if writes:
            tiny_generators.write(base, "llama", small.TEXTS)
        else:
            tiny.write_tiny(base, "bert", small.TEXTS)
    file = small.write(root / f"{kind}-rows.{small.suffix(kind)}", kind, 40)
    keywords = {**small.QUICK, "data.train": str(file), "model.base": str(base), **small.options(kind)}
    config = configs.resolve(
        keywords={**keywords, "out": str(root / kind), **(WRITES if writes else {})}, environment={}
    )
    return runs.train(config, quiet=True).folder


@contextmanager
def serving(folders: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """A server's process while it lasts: its address and its number."""
    named = [f"{name}={folder}" for name, folder in folders.items()]
    call = [
        sys.executable,
        "-m",
        "tunesmith",
        "serve",
        *named,
        "--port",
        "0",
        "--max-time",
        "30",
        "--log-level",
        "error",
    ]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = next(line.split()[1] for line in process.stdout if line.startswith("ready: "))
        try:
            yield url, process.pid
        finally:
            process.terminate()


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def told(found: Findings, took_s: float, grown: float) -> dict[str, object]:
    return {
        "benchmark": "fuzz",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "schemathesis": version("schemathesis"),
        "cases": found.cases,
        "routes": len(found.routes),
        "statuses": {str(status): count for status, count in sorted(found.statuses.items())},
        "wrong": len(found.wrong),
        "slowest_s": round(found.slowest_s, 3),
        "slowest_refusal_s": round(found.slowest_refusal_s, 3),
        "took_s": round(took_s, 1),
        "server_grown_mb": round(grown, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
