"""Answers and embeddings a second: transformers' pipeline and sentence-transformers against the ONNX engine, side by side.

    python -m benchmarks.encode CLASSIFIER SHORT LONG [--embedder BUNDLE] [--rounds 5] [--part classify|embed]

CLASSIFIER and ``--embedder`` are bundles with an ONNX export inside (`tunesmith export BUNDLE --to onnx --precision int8`);
SHORT and LONG are files with a column ``text``. The pipeline runs the classifier's own base model with a linear layer on
it, in PyTorch and 32 bits, as it comes; both sides have the same texts, cut to the same length, and two threads. They take
turns, round by round, in one process; what counts is the median. Appended to benchmarks/results.jsonl. Beside the project it needs:
pip install sentence-transformers
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.jsonl"
THREADS, SHORT_ROWS, SINGLE_ROWS, LONG_ROWS = 2, 320, 60, 48
Side = Callable[[Sequence[str]], Any]


def main() -> None:
    import torch

    options = arguments()
    torch.set_num_threads(THREADS)
    short, long = texts(options.short, SHORT_ROWS), texts(options.long, LONG_ROWS)
    if options.part in (None, "classify"):
        classify(options, short, long)
    if options.embedder and options.part in (None, "embed"):
        embed(options, short, long)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classifier", type=Path)
    parser.add_argument("short", type=Path)
    parser.add_argument("long", type=Path)
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=["classify", "embed"])
    return parser.parse_args()


def texts(file: Path, count: int) -> list[str]:
    from tunesmith.data import read

    found = []
    for _, _, row in read.read(next(iter(read.find(str(file)).values()))):
        found.append(row["text"])
        if len(found) == count:
            return found
    raise SystemExit(f"{file} has fewer than {count} rows")


def classify(options: argparse.Namespace, short: list[str], long: list[str]) -> None:
    import tunesmith

    model = tunesmith.load(options.classifier, "onnx")
    with tempfile.TemporaryDirectory() as folder:
        pipeline = stock(model, Path(folder))
        theirs = {"in batches of 16": lambda rows: pipeline(list(rows), batch_size=16), "one by one": singly(pipeline)}
        sides: dict[str, dict[str, Side]] = {
            "short, in batches of 16": {"transformers": theirs["in batches of 16"], "tunesmith": by_sixteen(model)},
            "short, as one list": {"transformers": theirs["in batches of 16"], "tunesmith": model.answers},
            "short, one by one": {"transformers": theirs["one by one"], "tunesmith": singly(model.answers, wrap=True)},
            "long, in batches of 16": {"transformers": theirs["in batches of 16"], "tunesmith": by_sixteen(model)},
        }
        for case, rivals in sides.items():
            rows = short[:SINGLE_ROWS] if "one by one" in case else long if "long" in case else short
            race(f"classify: {case}", rivals, rows, options, precision(options.classifier))


def embed(options: argparse.Namespace, short: list[str], long: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    import tunesmith

    model = tunesmith.load(options.embedder, "onnx")
    theirs = SentenceTransformer(str(options.embedder), device="cpu")
    theirs.max_seq_length = model.bundle.config.model.max_length
    rivals: dict[str, Side] = {
        "sentence-transformers": lambda rows: theirs.encode(list(rows), show_progress_bar=False),
        "tunesmith": model.answers,
    }
    for case, rows in (("short", short), ("long", long)):
        race(f"embed: {case}", rivals, rows, options, precision(options.embedder))


def stock(model: Any, folder: Path) -> Any:
    """The pipeline over the bundle's base model with a linear layer on it, as transformers builds it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    source, labels = model.bundle.folder, len(model.target.labels)
    made = AutoModelForSequenceClassification.from_pretrained(source, num_labels=labels)
    made.save_pretrained(folder)
    limit = model.bundle.config.model.max_length
    tokenizer = AutoTokenizer.from_pretrained(source, model_max_length=limit)
    return pipeline(
        "text-classification", model=made, tokenizer=tokenizer, device="cpu", truncation=True, max_length=limit
    )


def singly(call: Callable[[Any], Any], *, wrap: bool = False) -> Side:
    return lambda rows: [call([row] if wrap else row) for row in rows]


def by_sixteen(model: Any) -> Side:
    return lambda rows: [model.answers(rows[start : start + 16]) for start in range(0, len(rows), 16)]


def race(case: str, rivals: dict[str, Side], rows: list[str], options: argparse.Namespace, form: str) -> None:
    """Each side once unmeasured, then in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for side in rivals.values():
        side(rows[:16])
    for _ in range(options.rounds):
        for name, side in rivals.items():
            began = time.perf_counter()
            side(rows)
            seconds[name].append(time.perf_counter() - began)
    rates = {name: len(rows) / statistics.median(found) for name, found in seconds.items()}
    theirs, ours = rates.values()
    told = ", ".join(f"{name} {rate:,.1f}/s" for name, rate in rates.items())
    print(f"{case} ({form}): {told}; {ours / theirs:.2f} times as many", flush=True)
    entry = {"benchmark": "encode", "at": datetime.now(UTC).isoformat(timespec="seconds"), "case": case}
    entry |= {"precision": form, "texts": len(rows), "rounds": options.rounds, "threads": THREADS, "per_s": rates}
    entry |= {"times": ours / theirs, "environment": environment()}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def precision(bundle: Path) -> str:
    return str(json.loads((bundle / "onnx" / "export.json").read_text(encoding="utf-8"))["precision"])


def environment() -> dict[str, str]:
    names = ("torch", "transformers", "onnxruntime", "sentence-transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


if __name__ == "__main__":
    main()
