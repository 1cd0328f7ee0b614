"""Whether `tunesmith plan` says what a run then takes: plans and runs three configs one after the other.

    python -m benchmarks.plan DATA_FOLDER [--only banking77]

DATA_FOLDER holds the sets named below. Time and peak memory of each run, from its report.json, stand beside those of its plan,
made just before; each pair is appended to benchmarks/results.jsonl. A plan is for a machine that does nothing else, so of the
run's time that is taken off in which other programs had the processors (Linux counts it); both are recorded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy import RESULTS

LIMIT = 0.25
"""How far a plan may be off."""

TRAIN = """
import sys
from tunesmith import cli, machine
from tunesmith.train import run
before = machine.waited_s()
code = cli.main(["train", *sys.argv[1:]])
print(machine.waited_s() - before)
sys.exit(code)
"""

RUNS: Mapping[str, Mapping[str, str]] = {
    "banking77": {
        "data.train": "{data}/banking77/train.csv.gz",
        "columns.text": "text",
        "columns.label": "label",
        "data.limit": "1500",
        "train.epochs": "1",
    },
    "wnut17": {
        "data.train": "{data}/wnut17/train.jsonl.gz",
        "task": "token-classification",
        "adapter": "freeze",
        "data.limit": "1200",
        "train.epochs": "2",
    },
    "scitldr": {
        "data.train": "{data}/scitldr/train.jsonl.gz",
        "task": "summarization",
        "adapter": "lora",
        "model.max_length": "256",
        "data.limit": "60",
        "train.epochs": "1",
        "train.batch_size": "8",
        "request.max_tokens": "32",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=RUNS)
    options = parser.parse_args()
    for name, given in RUNS.items():
        if options.only in (None, name):
            flags = [f"--{flag}={value.replace('{data}', str(options.data))}" for flag, value in given.items()]
            print(json.dumps(compared(name, flags)))


def compared(name: str, flags: list[str]) -> dict[str, Any]:
    """Plan and run a config, and append both to the results."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        planned = json.loads(called("-m", "tunesmith", "plan", *flags, "--gpu=RTX 3090", "--json"))
        plan_s = time.monotonic() - began
        waited = float(called("-c", TRAIN, *flags, "--out", f"{folder}/run").splitlines()[-1])
        report = json.loads((Path(folder) / "run" / "report.json").read_text(encoding="utf-8"))
    timing = report["timing"]
    seconds, memory = planned["seconds"]["expected"], planned["memory"]["peak"]
    entry = {
        "benchmark": "plan",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": name,
        "task": report["task"],
        "adapter": report["adapter"],
        "rows": report["rows"],
        "machine": planned["machine"],
        "plan_s": plan_s,
        "planned": {"total_s": planned["seconds"], "peak_memory_bytes": memory, "parts": planned["parts"]},
        "run": timing,
        "waited_s": {"plan": planned["waited_share"] * planned["took_s"], "run": waited},
        "off": {"time": seconds / (timing["total_s"] - waited) - 1, "memory": memory / timing["peak_memory_bytes"] - 1},
    }
    entry["held"] = all(abs(off) <= LIMIT for off in entry["off"].values())
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


def called(*words: str) -> str:
    """What a call of Python prints."""
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
