"""What the data doctor finds of labels that were made wrong on purpose, and what training gains from its corrections.

    python -m benchmarks.doctor BANKING77_FOLDER [--rows 4000] [--base FOLDER] [--seed 0] [--keep FOLDER] [--only STAGE]
                                                 [--by features] [--adapter head]

BANKING77_FOLDER holds train and test files with the columns text and label. Some training rows are drawn, a fifth of them
gets another label at random, and then everything is done as a user would:

    flipped    `tunesmith train` with --train.folds 5 on the flipped labels
    corrected  `tunesmith doctor --accept` on that run, then `tunesmith train` with --data.corrections
    reviewed   the same with the list as a person would give it back: every row on it has the label that is true, or stays
    clean      `tunesmith train` on the labels as they were

Told are the share of rows with a flipped label among the first 500 label errors, by folds and by features, and the macro
F1 of the models on the test rows, whose labels nobody touched. Validation rows are split off the training rows and
so are flipped and corrected with them. With --by features there are no folds: heads on the base model's features judge
alone. With --keep, stages that were done before are not repeated; the result is appended to benchmarks/results.jsonl once
all are.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.data import read

RESULTS = Path(__file__).parent / "results.jsonl"
STAGES = ("flipped", "corrected", "reviewed", "clean")
FLIPPED_SHARE = 0.2
FIRST = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--base", help="base model; none: the task's default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for data and runs; none: they go when they are scored")
    parser.add_argument("--only", choices=STAGES)
    parser.add_argument("--by", choices=("folds", "features"), default="folds", help="whose corrections are trained on")
    parser.add_argument("--adapter", default="full")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = options.keep or Path(folder)
        true = write_data(options.data, place, options.rows, options.seed)
        for stage in STAGES:
            if options.only in (None, stage) and not (place / stage / "report.json").exists():
                work(stage, place, options, true)
        if all((place / stage / "report.json").exists() for stage in STAGES):
            print(json.dumps(record(place, true, options)))


def write_data(data: Path, place: Path, count: int, seed: int) -> dict[int, tuple[str, str]]:
    """Write ``noisy`` and ``plain`` with train and test files; returns by line the label as it was and as it is now."""
    found = read.find(str(data))
    train, test = (
        [item for _, _, item in read.read(found[name]) if isinstance(item, dict)] for name in ("train", "test")
    )
    chance = random.Random(seed)
    drawn = chance.sample(train, count)
    labels = sorted({row["label"] for row in train})
    flipped = set(chance.sample(range(count), round(FLIPPED_SHARE * count)))
    noisy = [
        chance.choice([other for other in labels if other != row["label"]]) if number in flipped else row["label"]
        for number, row in enumerate(drawn)
    ]
    for name, own in (("noisy", noisy), ("plain", [row["label"] for row in drawn])):
        write(place / name / "train.csv", [(row["text"], label) for row, label in zip(drawn, own, strict=True)])
        write(place / name / "test.csv", [(row["text"], row["label"]) for row in test])
    return {line: (row["label"], label) for line, (row, label) in enumerate(zip(drawn, noisy, strict=True), 2)}


def write(file: Path, rows: list[tuple[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([("text", "label"), *((" ".join(text.split()), label) for text, label in rows)])


def work(stage: str, place: Path, options: argparse.Namespace, true: dict[int, tuple[str, str]]) -> None:
    """One stage, by the command line."""
    if (place / stage / "config.yaml").exists():
        return call("resume", str(place / stage))
    more = ["--adapter", options.adapter, *(["--model.base", options.base] if options.base else [])]
    if stage == "flipped" and options.by == "folds":
        more += ["--train.folds", "5"]
    if stage == "corrected":
        for by in judges(options):
            if not (place / f"by-{by}" / "doctor.json").exists():
                call("doctor", str(place / "flipped"), "--by", by, "--accept", "--out", str(place / f"by-{by}"))
        more += ["--data.corrections", str(place / f"by-{options.by}" / "corrections.csv")]
    if stage == "reviewed":
        given = place / f"by-{options.by}" / "corrections.csv"
        more += ["--data.corrections", str(review(given, place / "reviewed.csv", true))]
    data = place / ("plain" if stage == "clean" else "noisy")
    call("train", str(data), "--train.seed", str(options.seed), "--out", str(place / stage), *more)


def review(given: Path, out: Path, true: dict[int, tuple[str, str]]) -> Path:
    """Write the list of a diagnosis as somebody would who knows all labels."""
    with given.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        was, now = true[int(row["line"])]
        row |= {"action": "keep", "label": ""} if was == now else {"action": "relabel", "label": was}
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def judges(options: argparse.Namespace) -> tuple[str, ...]:
    """By what the run can be judged; features always can."""
    return ("folds", "features") if options.by == "folds" else ("features",)


def call(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tunesmith", *words], check=True)


def found_by(folder: Path, true: dict[int, tuple[str, str]]) -> dict[str, Any]:
    """How many label errors there are in a diagnosis, and how right it is about them."""
    errors = json.loads((folder / "doctor.json").read_text(encoding="utf-8"))["label_errors"]
    lines = [error["row"]["line"] for error in errors]
    wrong = [true[line][0] != true[line][1] for line in lines]
    right = [error["suggested"] == [true[line][0]] for line, error in zip(lines, errors, strict=True)]
    return {
        "errors": len(lines),
        "precision_first": sum(wrong[:FIRST]) / max(1, len(wrong[:FIRST])),
        "precision": sum(wrong) / max(1, len(wrong)),
        "recall": sum(wrong) / sum(was != now for was, now in true.values()),
        "suggestions_right": sum(right) / max(1, len(right)),
    }


def record(place: Path, true: dict[int, tuple[str, str]], options: argparse.Namespace) -> dict[str, Any]:
    """Append what the runs and the diagnoses say to the results."""
    reports = {stage: json.loads((place / stage / "report.json").read_text(encoding="utf-8")) for stage in STAGES}
    entry = {
        "benchmark": "doctor",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": options.data.name,
        "base": Path(reports["clean"]["base"]).name,
        "rows": reports["clean"]["rows"],
        "flipped": sum(was != now for was, now in true.values()),
        "seed": options.seed,
        "first": FIRST,
        "adapter": options.adapter,
        "by": options.by,
        "found": {by: found_by(place / f"by-{by}", true) for by in judges(options)},
        "f1_macro": {stage: told["metrics"]["f1_macro"] for stage, told in reports.items()},
        "intervals": {stage: told["intervals"].get("f1_macro") for stage, told in reports.items()},
        "total_s": {stage: told["timing"]["total_s"] for stage, told in reports.items()},
        "environment": reports["clean"]["environment"],
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return entry


if __name__ == "__main__":
    main()
