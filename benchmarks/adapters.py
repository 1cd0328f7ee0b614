"""What each adapter costs and reaches: quality, trained share, time, memory and size on two public sets, one after the other.

    python -m benchmarks.adapters DATA_FOLDER [--only lora ...] [--sets banking77 wnut17] [--keep FOLDER]

DATA_FOLDER holds banking77 and wnut17. Every run has one CPU thread, the same rows, 3 epochs and, but for what stands in
VARIANTS, each adapter's defaults: of the training rows 2,500 of banking77 and 1,500 of wnut17 are drawn (``data.limit``), the
same for all; the test rows are all scored. Each result is appended to benchmarks/results.jsonl, with the seconds in which
other programs had the processor (``waited_s``; Linux counts them): where they are many, its times tell little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy import METRICS, RESULTS
from benchmarks.plan import TRAIN
from tunesmith import plugins

SETS: Mapping[str, Mapping[str, str]] = {
    "banking77": {"columns.text": "text", "columns.label": "label", "data.limit": "2500"},
    "wnut17": {"task": "token-classification", "data.limit": "1500"},
}
SAME = {"train.epochs": "3", "train.threads": "1", "train.evaluate_every": "1 epochs", "train.micro_tokens": "2048"}
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "lora, pissa": {"adapter": "lora", "adapter.start": "pissa"},
    "lora, lora_plus 4": {"adapter": "lora", "adapter.lora_plus": "4"},
    "bottleneck, pfeiffer": {"adapter": "bottleneck", "adapter.placement": "pfeiffer"},
    "peft, LOKR": {"adapter": "peft", "adapter.type": "LOKR"},
}
"""More than one way to use an adapter; ``peft`` alone is left out, as it needs to be told a method."""
RUNS: Mapping[str, Mapping[str, str]] = {
    **{name: {"adapter": name} for name in plugins.names("adapters") if name not in ("peft", "qlora")},
    **VARIANTS,
}
WEIGHTS = ("adapter_model.safetensors", "adapter.safetensors", "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--keep", type=Path, help="folder for the runs; none: they go when they are scored")
    options = parser.parse_args()
    for name in options.only:
        for data in options.sets:
            with tempfile.TemporaryDirectory() as folder:
                out = (options.keep or Path(folder)) / f"{data}-{name.replace(', ', '-').replace(' ', '-')}"
                waited_s = train(options.data / data, {**SETS[data], **SAME, **RUNS[name]}, out)
                print(json.dumps(record(name, data, out, waited_s)), flush=True)


def train(data: Path, given: Mapping[str, str], out: Path) -> float:
    """Train in a process of its own; the seconds that it was ready and had no processor."""
    flags = [f"--{flag}={value}" for flag, value in {**given, "out": str(out)}.items()]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN, str(data), *flags]
    done = subprocess.run(command, check=True, env=one_thread, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.splitlines()[-1])


def record(name: str, data: str, run: Path, waited_s: float) -> dict[str, Any]:
    """Append what a run's report says to the results, with the sizes of its files."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    metric = METRICS.get(data, "f1_macro")
    entry = {
        "benchmark": "adapters",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "adapter": name,
        "data": data,
        "base": Path(report["base"]).name,
        "rows": report["rows"],
        "metric": metric,
        "value": report["metrics"][metric],
        "interval": report["intervals"].get(metric),
        "weights": report["weights"],
        "learning_rate": report["config"]["train.learning_rate"],
        "timing": report["timing"],
        "waited_s": waited_s,
        "adapter_bytes": sum((run / file).stat().st_size for file in WEIGHTS if (run / file).exists()),
        "bundle_bytes": sum(file.stat().st_size for file in run.rglob("*") if file.is_file()),
        "environment": report["environment"],
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


if __name__ == "__main__":
    main()
