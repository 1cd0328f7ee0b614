"""Peak memory and time of `tunesmith check` on a CSV of a million rows.

    python benchmarks/check_memory.py [ROWS]

Writes the CSV into a temporary folder, runs the command as a user would, and prints one JSON line.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LABELS = ("delivery", "refund", "account", "praise", "other")
WORDS = [
    "the",
    "order",
    "arrived",
    "late",
    "and",
    "box",
    "was",
    "broken",
    "please",
    "send",
    "a",
    "new",
    "one",
    "my",
    "account",
    "cannot",
    "be",
    "opened",
    "since",
    "yesterday",
    "thank",
    "you",
    "for",
    "quick",
    "help",
    "service",
    "phone",
    "number",
    "payment",
    "card",
    "refund",
    "still",
    "missing",
    "after",
    "two",
    "weeks",
    "great",
    "product",
]


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "million.csv")
        write(path, rows)
        command = [sys.executable, "-m", "tunesmith", "check", str(path), "--task", "text-classification", "--json"]
        start = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if run.returncode not in (0, 2):
            sys.exit(run.stderr)
        peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        facts = json.loads(run.stdout)
        size_mib = path.stat().st_size / 2**20
        print(json.dumps({
            "rows": rows, "file_mib": round(size_mib), "tokens": sum(facts["tokens"].values()), "seconds": round(seconds, 1),
            "peak_mib": round(peak_mib), "findings": [finding["code"] for finding in facts["findings"]],
        }))  # fmt: skip


def write(path: Path, rows: int) -> None:
    """A CSV of made-up support messages of 5 to 60 words."""
    draw = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            words = draw.choices(WORDS, k=draw.randint(5, 60))
            writer.writerow([f"{' '.join(words)}, ticket {number}", draw.choice(LABELS)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
