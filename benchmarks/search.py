"""What a search on a small budget finds, and whether that beats the defaults on the test rows beyond the noise of seeds.

    python -m benchmarks.search DATA_FOLDER [--budget 20m] [--workers 1] [--base FOLDER] [--limit 3000] [--keep FOLDER]

DATA_FOLDER holds twitter_fin_news with train, dev and test files. The search is that of examples/search/twitter_fin_news.yaml;
its verdict compares the winner with the defaults by runs with the same seeds, none of which the trials have seen. The result
is appended to benchmarks/results.jsonl, whether anything was found or not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy import RESULTS

DATA = "twitter_fin_news"
EXAMPLE = Path(__file__).parents[1] / "examples" / "search" / f"{DATA}.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--workers", default="1")
    parser.add_argument("--base", help="base model; none: that of the example")
    parser.add_argument("--limit", default="3000", help="training rows of each run")
    parser.add_argument("--keep", type=Path, help="folder of the study; none: it goes when its report was read")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = options.keep or Path(folder) / "study"
        flags = {"data.train": options.data / DATA, "data.limit": options.limit, "out": study}
        if options.base:
            flags["model.base"] = options.base
        asked = {"budget": options.budget, "workers": options.workers}
        words = [f"--{name}={value}" for name, value in {**asked, **flags}.items()]
        subprocess.run([sys.executable, "-m", "tunesmith", "search", str(EXAMPLE), *words], check=True)
        print(json.dumps(record(study, options)))


def record(study: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Append what the search's report says to the results."""
    found = json.loads((study / "report.json").read_text(encoding="utf-8"))
    trials, best = found["trials"], next((one for one in found["trials"] if one["number"] == found["winner"]), None)
    entry = {
        "benchmark": "search",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": DATA,
        "base": Path(options.base).name if options.base else None,
        "limit": int(options.limit),
        "budget": options.budget,
        "workers": int(options.workers),
        "seconds": found["seconds"],
        "trials": {state: sum(one["state"] == state for one in trials) for state in ("complete", "pruned", "failed")},
        "objective": found["objectives"][0],
        "defaults_validation": next((one["values"] for one in trials if one["is_defaults"]), None),
        "best_validation": best and best["values"],
        "best": best and best["parameters"],
        "importance": found["importance"],
        "verdict": found["verdict"],
        "words": found["words"],
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


if __name__ == "__main__":
    main()
