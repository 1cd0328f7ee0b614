"""What deciding after training gains on public data: calibration halves errors of confidence, thresholds raise macro-F1.

    python -m benchmarks.decisions DATA_FOLDER [--base FOLDER] [--only goemotions] [--keep FOLDER]

DATA_FOLDER holds the sets named below, each a folder with train, (dev) and test files. Runs of one label have few rows and
many epochs, as users with little data have, which makes models too sure of themselves. Everything is measured on the test
rows, decided on the validation rows, and appended to benchmarks/results.jsonl; --keep keeps the runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy import RESULTS, command
from tunesmith import metrics, report
from tunesmith.decisions.calibration import uncalibrated
from tunesmith.metrics import Predictions

RUNS: Mapping[str, Mapping[str, str]] = {
    "banking77": {"columns.text": "text", "columns.label": "label", "data.limit": "3000", "train.epochs": "8"},
    "twitter_fin_news": {"columns.text": "text", "columns.label": "label", "data.limit": "3000", "train.epochs": "8"},
    "goemotions": {"columns.text": "text", "columns.label": "labels", "data.limit": "16000", "train.epochs": "2"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", help="base model; none: the default")
    parser.add_argument("--only", choices=RUNS)
    parser.add_argument("--keep", type=Path, help="folder for the runs; none: they go when they are measured")
    options = parser.parse_args()
    for name, given in RUNS.items():
        if options.only in (None, name):
            base = {"model.base": options.base} if options.base else {}
            with tempfile.TemporaryDirectory() as folder:
                out = (options.keep or Path(folder)) / name
                subprocess.run(command(options.data / name, {**given, **base}, out), check=True)
                print(json.dumps(record(name, given, out)))


def record(name: str, given: Mapping[str, str], run: Path) -> dict[str, Any]:
    """Append what a run's decisions changed to the results."""
    told = report.load(run)
    assert told.trust is not None
    entry = {
        "benchmark": "decisions",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": name,
        "base": Path(told.base).name,
        "rows": told.rows,
        "given": dict(given),
        "expected_calibration_error": {"before": told.trust.before.error, "after": told.trust.after.error},
        "interval": told.intervals.get("expected_calibration_error"),
        "calibration": told.decision.calibration,
        "coverage": [asdict(part) for part in told.coverage],
        "environment": told.environment,
    }
    found = report.load_predictions(run, told)
    if isinstance(found, Predictions) and found.kind == "multi-label":
        entry["f1_macro"] = thresholds(found)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


def thresholds(tuned: Predictions) -> dict[str, Any]:
    """Macro-F1 of several labels: given from 0.5 on, as trained and as calibrated, and by thresholds."""
    raw = uncalibrated(tuned.scores, tuned.decision.calibration, exclusive=False)
    plain, even = (replace(tuned, predicted=scores >= 0.5) for scores in (raw, tuned.scores))
    return {
        "at_half": metrics.score(plain, ["f1_macro"])["f1_macro"],
        "at_half_calibrated": metrics.score(even, ["f1_macro"])["f1_macro"],
        "tuned": metrics.score(tuned, ["f1_macro"])["f1_macro"],
        "gain": asdict(metrics.paired_test(plain, tuned, "f1_macro")),
    }


if __name__ == "__main__":
    main()
