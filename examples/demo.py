"""From a table of film sentences to a model that answers: what `make demo` runs.

The sentences and their mean ratings by 20 readers each are those of Hutto and Gilbert 2014 (VADER, MIT licence). They
come from a Python package index, as does the base model, so that nothing else need be reached.
"""

from __future__ import annotations

import csv
import itertools
import shlex
import sys
import tarfile
from pathlib import Path

from tunesmith import sources
from tunesmith.cli import main

PACKAGE = (
    "pypi://vaderSentiment==3.3.2#additional_resources/hutto_ICWSM_2014.tar.gz&archive=source"
    "&sha256=5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
)
MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
DATA = Path("runs/demo-data/films.csv")
CLEAR = 0.5
"""Ratings run from -4 to 4; nearer to 0 than this readers did not agree, and the sentence is left out."""

SENTENCES = (
    "A film of rare warmth.",
    "A dull and lifeless two hours.",
    "The plot limps, yet the cast is a joy to watch.",
)


def demo() -> int:
    """Write the table, train on it, ask the model."""
    DATA.parent.mkdir(parents=True, exist_ok=True)
    rows = write_table(DATA)
    print(f"{rows} labelled sentences are in {DATA}\n")
    out = free("runs/demo")
    for step in (["train", str(DATA), "--data.limit", "4000", "--out", out], ["predict", out, *SENTENCES]):
        print(f"$ tunesmith {shlex.join(step)}", flush=True)
        if code := main(step):
            return code
        print()
    print(f"The whole report, with pictures: {out}/report.html")
    return 0


def write_table(file: Path) -> int:
    """Turn the rated sentences into a CSV with the columns text and label; returns its rows."""
    archive = sources.resolve(PACKAGE, kind="data").path
    with (
        tarfile.open(archive) as package,
        package.extractfile(MEMBER) as lines,
        file.open("w", newline="", encoding="utf-8") as out,
    ):
        table = csv.writer(out)
        table.writerow(["text", "label"])
        rated = (line.decode("utf-8").rstrip("\n").split("\t") for line in lines)
        chosen = [
            (text, "positive" if float(mean) > 0 else "negative")
            for _, mean, text in rated
            if abs(float(mean)) >= CLEAR
        ]
        table.writerows(chosen)
    return len(chosen)


def free(folder: str) -> str:
    """The first of ``folder``, ``folder-2``, ``folder-3`` ... that is not there yet."""
    names = (folder if number == 1 else f"{folder}-{number}" for number in itertools.count(1))
    return next(name for name in names if not Path(name).exists())


if __name__ == "__main__":
    sys.exit(demo())
