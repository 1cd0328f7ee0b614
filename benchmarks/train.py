"""Time to the same F1: a plain loop, Hugging Face `Trainer` and Tunesmith, side by side.

    python -m benchmarks.train --imdb IMDB_FOLDER --banking BANKING_FOLDER [--seeds 2] [--only banking]

Each side fine-tunes the same base model on the same rows of the same seed, alone on the machine, in a process of its own:

    plain      the usual tutorial loop: every text padded to 128 tokens, AdamW 2e-5, batches of 16, 5 epochs
    trainer    transformers' Trainer with its defaults (5e-5, batches of 8, 3 epochs) and dynamic padding
    tunesmith  `tunesmith train` with its defaults

The curve is weighted F1 (IMDB) or macro F1 (banking77) on the same test rows after each share of an epoch; the clock
runs for everything a side does before and during training and stands while the benchmark scores the test rows, which is
done alike for all. A side is stopped after --limit-s seconds of training. Folders hold train and test files with the
columns text and label. Each side's result is appended to benchmarks/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results.jsonl"
EVALUATIONS_PER_EPOCH = 4


@dataclass(frozen=True)
class Race:
    """A data set as the sides race on it."""

    name: str
    rows: int
    test_rows: int
    max_length: int
    average: str


RACES = (Race("banking", 4000, 1000, 256, "macro"), Race("imdb", 1600, 1000, 256, "weighted"))
SIDES = ("plain", "trainer", "tunesmith")


@dataclass
class Result:
    """What one side did: ``curve`` of (seconds, F1), real tokens trained per second, peak memory of the process."""

    race: str
    side: str
    seed: int
    curve: list[tuple[float, float]] = field(default_factory=list)
    tokens_per_s: float = 0.0
    train_s: float = 0.0
    peak_memory_mb: float = 0.0


class Clock:
    """Seconds that a side has used; it stands while the benchmark scores."""

    def __init__(self) -> None:
        self.began, self.stood = time.monotonic(), 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began - self.stood

    def outside(self, work: Callable[[], float]) -> tuple[float, float]:
        seconds, paused = self.seconds, time.monotonic()
        value = work()
        self.stood += time.monotonic() - paused
        return seconds, value


def main() -> None:
    options = arguments()
    if options.side:
        race = next(race for race in RACES if race.name == options.race)
        result = run_side(race, options)
        print("RESULT " + json.dumps(asdict(result)))
        return
    results = []
    for race in RACES:
        if options.only in (None, race.name):
            for seed in range(options.seeds):
                for side in options.sides.split(","):
                    results.append(in_own_process(race, side, seed, options))
    print(table(results))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imdb")
    parser.add_argument("--banking")
    parser.add_argument("--base", default="all-MiniLM-L6-v2")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=900.0)
    parser.add_argument("--only", choices=[race.name for race in RACES])
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--race", help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(race: Race, side: str, seed: int, options: argparse.Namespace) -> Result:
    """Run one side alone, so that memory and allocator settings of another do not count, and keep its result."""
    words = [sys.executable, "-m", "benchmarks.train", "--race", race.name, "--side", side, "--seed", str(seed)]
    for name in ("imdb", "banking", "base"):
        if getattr(options, name):
            words += [f"--{name}", getattr(options, name)]
    done = subprocess.run([*words, "--limit-s", str(options.limit_s)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{side} failed on {race.name}:\n{done.stderr[-3000:]}")
    result = Result(**json.loads(lines[0].removeprefix("RESULT ")))
    machine = {"python": platform.python_version(), "torch": version("torch"), "transformers": version("transformers")}
    entry = {
        "benchmark": "train",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "limit_s": options.limit_s,
        **machine,
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, **asdict(result)}) + "\n")
    best = max(score for _, score in result.curve)
    print(
        f"{race.name} seed {seed} {side}: best F1 {best:.4f}, {result.tokens_per_s:,.0f} tokens/s, {result.train_s:.0f} s",
        flush=True,
    )
    return result


def run_side(race: Race, options: argparse.Namespace) -> Result:
    from datasets import disable_progress_bars

    disable_progress_bars()
    rows = Rows.read(Path(getattr(options, race.name)), race, options.seed)
    result = Result(race.name, options.side, options.seed)
    {"plain": plain, "trainer": trainer, "tunesmith": tunesmith}[options.side](race, rows, result, options)
    result.peak_memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


@dataclass(frozen=True)
class Rows:
    """The rows of a race: a seeded sample of the training rows, the first test rows of a fixed shuffle."""

    texts: list[str]
    labels: list[int]
    test_texts: list[str]
    test_labels: list[int]
    names: list[str]

    @classmethod
    def read(cls, folder: Path, race: Race, seed: int) -> Rows:
        from tunesmith.data import read

        found = read.find(str(folder))
        train, test = (
            [(row["text"], row["label"]) for _, _, row in read.read(found[name])] for name in ("train", "test")
        )
        names = sorted({label for _, label in train})
        chosen = [train[i] for i in np.random.default_rng(seed).permutation(len(train))[: race.rows]]
        tested = [test[i] for i in np.random.default_rng(0).permutation(len(test))[: race.test_rows]]
        number = {name: index for index, name in enumerate(names)}
        return cls(
            [text for text, _ in chosen], [number[label] for _, label in chosen],
            [text for text, _ in tested], [number[label] for _, label in tested], names,
        )  # fmt: skip

    def f1(self, predicted: np.ndarray, average: str) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(self.test_labels, predicted, average=average, zero_division=0))


def stock_model(options: argparse.Namespace, names: Sequence[str]) -> tuple[Any, Any]:
    """The base model with transformers' own classification head, and its tokenizer."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    from tunesmith import quiet, sources

    set_seed(options.seed)
    path = sources.resolve(options.base).path
    with quiet.transformers():
        model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=len(names))
    return model, AutoTokenizer.from_pretrained(path)


def stock_f1(model: Any, tokenizer: Any, race: Race, rows: Rows, max_length: int) -> float:
    """F1 of a stock model; scoring is quick, sorted by length and in no gradient, since it is not part of the race."""
    import torch

    model.eval()
    order = np.argsort([len(text) for text in rows.test_texts])
    predicted = np.zeros(len(order), dtype=int)
    with torch.inference_mode():
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            batch = tokenizer(
                [rows.test_texts[i] for i in chosen],
                truncation=True,
                max_length=max_length,
                padding=True,
                return_tensors="pt",
            )
            predicted[chosen] = model(**batch).logits.argmax(1).numpy()
    model.train()
    return rows.f1(predicted, race.average)


def plain(race: Race, rows: Rows, result: Result, options: argparse.Namespace) -> None:
    """The tutorial loop."""
    import torch

    clock = Clock()
    model, tokenizer = stock_model(options, rows.names)
    encoded = tokenizer(rows.texts, truncation=True, max_length=128, padding="max_length", return_tensors="pt")
    labels, optimizer = torch.tensor(rows.labels), torch.optim.AdamW(model.parameters(), lr=2e-5)
    model.train()
    every = max(1, len(labels) // 16 // EVALUATIONS_PER_EPOCH)
    step = tokens = 0
    began, stood = clock.seconds, clock.stood
    for _ in range(5):
        order = torch.randperm(len(labels))
        for start in range(0, len(order), 16):
            chosen = order[start : start + 16]
            batch = {name: values[chosen] for name, values in encoded.items()}
            model(**batch, labels=labels[chosen]).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step, tokens = step + 1, tokens + int(batch["attention_mask"].sum())
            if step % every == 0:
                result.curve.append(clock.outside(lambda: stock_f1(model, tokenizer, race, rows, 128)))
            if clock.seconds - began > options.limit_s:
                break
    result.train_s = clock.seconds - began
    result.tokens_per_s = tokens / result.train_s
    del stood


def trainer(race: Race, rows: Rows, result: Result, options: argparse.Namespace) -> None:
    """Hugging Face Trainer with its defaults and dynamic padding."""
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    clock = Clock()
    model, tokenizer = stock_model(options, rows.names)
    data = Dataset.from_dict({"text": rows.texts, "labels": rows.labels}).map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=race.max_length),
        batched=True,
        remove_columns=["text"],
    )
    lengths = [len(ids) for ids in data["input_ids"]]
    steps_per_epoch = -(-len(lengths) // 8)
    every = max(1, steps_per_epoch // EVALUATIONS_PER_EPOCH)

    class Watch(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = clock.seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % every == 0:
                result.curve.append(clock.outside(lambda: stock_f1(model, tokenizer, race, rows, race.max_length)))
            result.train_s = clock.seconds - self.began
            result.tokens_per_s = state.global_step / steps_per_epoch * sum(lengths) / result.train_s
            control.should_training_stop = result.train_s > options.limit_s

    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder, seed=options.seed, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True
        )
        Trainer(
            model, args, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer), callbacks=[Watch()]
        ).train()


def tunesmith(race: Race, rows: Rows, result: Result, options: argparse.Namespace) -> None:
    """Tunesmith with its defaults: what it does by itself, validation and warm start included, is on its clock."""
    import csv

    from tunesmith import config, plugins
    from tunesmith.train import learner, loop, run
    from tunesmith.train.job import Course, Job

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [
                    ("text", "label"),
                    *((text, rows.names[label]) for text, label in zip(rows.texts, rows.labels, strict=True)),
                ]
            )
        clock = Clock()
        request = plugins.module("tasks", "text-classification").Request()

        def scored(learned: learner.Learner) -> float:
            import pyarrow as pa

            table = pa.table({"text": rows.test_texts, "text_pair": pa.nulls(len(rows.test_texts), pa.string())})
            with tempfile.TemporaryDirectory() as scratch:
                examples = learned.task.encode(table, learned.tokenizer, learned.config.model, Path(scratch))
                outputs = learned.engine.sequences(examples)
                scores = np.asarray(learned.task.scores(outputs, examples, learned.target, request))
            order = [learned.target.labels.index(label) for label in rows.names]
            return rows.f1(scores[:, order].argmax(1), race.average)

        validate = learner.Learner.scores

        def watched(learned: learner.Learner) -> dict[str, float]:
            own = validate(learned)
            result.curve.append(clock.outside(lambda: scored(learned)))
            return own

        learner.Learner.scores = watched  # type: ignore[method-assign]
        fit = loop.fit

        def timed(job: Job, **given: Any) -> Course:
            course = fit(job, **given)
            result.train_s, result.tokens_per_s = course.seconds, course.tokens / course.seconds
            return course

        loop.fit = timed
        keywords = {
            "data.train": str(folder / "train.csv"),
            "data.test_share": 0,
            "model.base": options.base,
            "model.max_length": race.max_length,
        }
        keywords |= {
            "train.seed": options.seed,
            "train.evaluate_every": f"{1 / EVALUATIONS_PER_EPOCH} epochs",
            "out": str(folder / "run"),
        }
        run.train(config.resolve(keywords=keywords), quiet=True)


def table(results: Sequence[Result]) -> str:
    """Medians over the seeds: best F1, and seconds until Trainer's best F1 was reached."""
    lines = [
        f"{'race':8} {'side':10} {'best F1':>8} {'s to Trainer best':>18} {'times faster':>13} {'tokens/s':>9} {'MB':>6}"
    ]
    for race in dict.fromkeys(result.race for result in results):
        reference = {r.seed: r for r in results if r.race == race and r.side == "trainer"}
        for side in dict.fromkeys(result.side for result in results):
            mine = [r for r in results if r.race == race and r.side == side]
            goal = {r.seed: max(s for _, s in reference[r.seed].curve) if r.seed in reference else 1.0 for r in mine}
            reached = [reach(r, goal[r.seed]) for r in mine]
            ratios = [
                reach(reference[r.seed], goal[r.seed]) / reach(r, goal[r.seed]) for r in mine if r.seed in reference
            ]
            best = statistics.median(max(s for _, s in r.curve) for r in mine)
            lines.append(
                f"{race:8} {side:10} {best:8.4f} {statistics.median(reached):18.1f} {statistics.median(ratios or [0]):13.1f} "
                f"{statistics.median(r.tokens_per_s for r in mine):9,.0f} {statistics.median(r.peak_memory_mb for r in mine):6,.0f}"
            )
    return "\n".join(lines)


def reach(result: Result, goal: float) -> float:
    """Seconds until a curve reaches a score; infinite if it never does."""
    return next((seconds for seconds, score in result.curve if score >= goal), float("inf"))


if __name__ == "__main__":
    main()
