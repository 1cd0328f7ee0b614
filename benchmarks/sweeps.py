"""A race of settings beside the whole grid, one after the other: time, answers, and what each picks.

    python -m benchmarks.sweeps BUNDLE DATA --temperature 0:1.2:0.3 --top_p 0.8,1 ...

All that follows DATA goes to `tunesmith sweep`, the same to both. A race should take less than half of the grid's answers and
pick a setting that is not surely worse than the grid's best. Appended to benchmarks/results.jsonl.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy import RESULTS
from tunesmith import machine


def main() -> None:
    bundle, data, *words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        found = {design: _swept(bundle, data, words, design, Path(folder) / design) for design in ("grid", "race")}
    grid, race = (report for report, _ in found.values())
    answers = {name: report["answers"] for name, (report, _) in found.items()}
    picked = {name: report["recommendation"]["setting"] for name, (report, _) in found.items()}
    entry = {
        "benchmark": "sweep",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": grid["task"],
        "metric": grid["metric"],
        "settings": len(grid["settings"]),
        "rows": {"compared": grid["rows"], "held_out": grid["held_out"]},
        "answers": answers,
        "share": answers["race"] / answers["grid"],
        "seconds": {name: seconds for name, (_, seconds) in found.items()},
        "picked": picked,
        "held_out": {name: report["recommendation"]["gain"] for name, (report, _) in found.items()},
        "race_notes": race["notes"],
        "threads": machine.cores(),
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry, indent=1))


def _swept(bundle: str, data: str, words: list[str], design: str, out: Path) -> tuple[dict[str, Any], float]:
    """The report of a sweep, and how many seconds it took."""
    began = time.monotonic()
    call = [sys.executable, "-m", "tunesmith", "sweep", bundle, data, *words, "--design", design, "--out", str(out)]
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report, round(time.monotonic() - began, 1)


if __name__ == "__main__":
    main()
