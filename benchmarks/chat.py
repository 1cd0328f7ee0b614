"""LoRA on conversations: TRL's SFTTrainer with PEFT and Tunesmith, side by side.

    python -m benchmarks.chat MULTIWOZ_FOLDER [--rows 48] [--limit-s 300] [--sides trl,tunesmith]

Each side fine-tunes SmolLM2-135M-Instruct on the same dialogues (the first that have at most 512 tokens) with LoRA of rank
16, alpha 32 on all linear layers, batches of 8, one epoch, a peak rate of 1e-3 that falls linearly, and loss on the
assistant's turns alone, alone on the machine, in a process of its own; everything else is its own default. The same chat
template, with the assistant's turns marked, is given to both. The curve is the loss a token on eight held-out dialogues,
computed by the same plain code for both while the clock stands. Speed counts real tokens, not padding. Results are
appended to benchmarks/results.jsonl. Beside the project it needs: pip install trl
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.train import Clock

RESULTS = Path(__file__).parent / "results.jsonl"
BASE, MAX_LENGTH, BATCH_ROWS, RATE, RANK, ALPHA = "SmolLM2-135M-Instruct", 512, 8, 1e-3, 16, 32
HELD_OUT, CURVE_STEPS = 8, 2
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
Conversation = list[dict[str, str]]


@dataclass
class Result:
    """What one side did: ``curve`` of (step, held-out loss), real tokens trained per second, peak memory."""

    side: str
    curve: list[tuple[int, float]] = field(default_factory=list)
    tokens_per_s: float = 0.0
    train_s: float = 0.0
    peak_memory_mb: float = 0.0


def main() -> None:
    options = arguments()
    if options.side:
        result = Result(options.side)
        {"trl": trl, "tunesmith": tunesmith}[options.side](result, options)
        result.peak_memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print("RESULT " + json.dumps(asdict(result)))
        return
    for side in options.sides.split(","):
        result = in_own_process(side, options)
        print(
            f"{side}: {result.tokens_per_s:,.0f} tokens/s, {result.peak_memory_mb:,.0f} MB, held-out loss {result.curve}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--limit-s", type=float, default=300.0, help="seconds of training, then the side is stopped")
    parser.add_argument("--sides", default="trl,tunesmith")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    return parser.parse_args()


def in_own_process(side: str, options: argparse.Namespace) -> Result:
    words = [sys.executable, "-m", "benchmarks.chat", str(options.data), "--side", side]
    words += ["--rows", str(options.rows), "--limit-s", str(options.limit_s)]
    done = subprocess.run(words, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    result = Result(**json.loads(lines[0].removeprefix("RESULT ")))
    entry = {"benchmark": "chat", "at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": options.rows}
    entry |= {"limit_s": options.limit_s, "base": BASE, "environment": environment()}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**entry, **asdict(result)}) + "\n")
    return result


def environment() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("torch", "transformers", "peft", "trl"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def base(folder: Path) -> Path:
    """A copy of the base model whose template marks the assistant's turns."""
    from tunesmith import sources

    for file in sources.resolve(BASE).path.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


def conversations(options: argparse.Namespace, tokenizer: Any) -> list[Conversation]:
    """The dialogues of the race: those to learn from, then those held out."""
    from tunesmith.data import read

    found: list[Conversation] = []
    for _, _, row in read.read(read.find(str(options.data))["train"]):
        turns = [{"role": one["role"], "content": one["content"]} for one in row["messages"]]
        if turns[-1]["role"] == "assistant" and len(tokens(tokenizer, turns)[0]) <= MAX_LENGTH:
            found.append(turns)
        if len(found) == options.rows + HELD_OUT:
            return found
    raise SystemExit(f"only {len(found)} dialogues have at most {MAX_LENGTH} tokens")


def tokens(tokenizer: Any, turns: Conversation) -> tuple[list[int], list[int]]:
    """Ids of a dialogue, and which of them the assistant wrote, as transformers says."""
    found = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    return found["input_ids"], found["assistant_masks"]


def held_out_loss(model: Any, tokenizer: Any, dialogues: Sequence[Conversation]) -> float:
    """Loss a token of the assistant's turns."""
    import torch
    from torch.nn import functional as F

    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for turns in dialogues:
            ids, mask = (torch.tensor(values) for values in tokens(tokenizer, turns))
            logits = model(input_ids=ids[None]).logits[0, :-1].float()
            chosen = mask[1:].bool()
            total += float(F.cross_entropy(logits[chosen], ids[1:][chosen], reduction="sum"))
            count += int(chosen.sum())
    model.train(was_training)
    return total / count


def trl(result: Result, options: argparse.Namespace) -> None:
    """SFTTrainer with a PEFT config."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "base").mkdir()
        folder = base(Path(name) / "base")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = conversations(options, tokenizer)
        training, held_out = rows[: options.rows], rows[options.rows :]
        every = sum(len(tokens(tokenizer, turns)[0]) for turns in training) / len(training) * BATCH_ROWS

        class Watch(TrainerCallback):
            def note(self, step: int, model: Any) -> None:
                _, loss = self.clock.outside(lambda: held_out_loss(model, tokenizer, held_out))
                result.curve.append((step, loss))

            def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
                self.clock = Clock()
                self.note(0, model)

            def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
                result.train_s = self.clock.seconds
                result.tokens_per_s = state.global_step * every / result.train_s
                control.should_training_stop = result.train_s > options.limit_s
                if state.global_step % CURVE_STEPS == 0:
                    self.note(state.global_step, model)

        settings = SFTConfig(
            use_cpu=not torch.cuda.is_available(),
            output_dir=str(Path(name) / "out"),
            max_length=MAX_LENGTH,
            assistant_only_loss=True,
            per_device_train_batch_size=BATCH_ROWS,
            num_train_epochs=1,
            learning_rate=RATE,
            save_strategy="no",
            disable_tqdm=True,
        )
        lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
        SFTTrainer(
            model=str(folder),
            args=settings,
            train_dataset=Dataset.from_list([{"messages": turns} for turns in training]),
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=[Watch()],
        ).train()


def tunesmith(result: Result, options: argparse.Namespace) -> None:
    """Tunesmith; its own evaluations, which are the benchmark's here, are not on the clock."""
    from transformers import AutoTokenizer

    from tunesmith import config
    from tunesmith.train import learner, loop, run
    from tunesmith.train.job import Course, Job

    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "base").mkdir()
        folder = base(Path(name) / "base")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = conversations(options, tokenizer)
        held_out = rows[options.rows :]
        for part, some in (("train", rows[: options.rows]), ("dev", held_out)):
            lines = (json.dumps({"messages": turns}) + "\n" for turns in some)
            (Path(name) / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")
        own = learner.Learner.scores

        def watched(learned: learner.Learner) -> dict[str, float]:
            loss = held_out_loss(learned.network.backbone.model, tokenizer, held_out)
            result.curve.append((CURVE_STEPS * len(result.curve), loss))
            return own(learned)

        fit = loop.fit

        def timed(job: Job, **given: Any) -> Course:
            course = fit(job, **given)
            result.train_s, result.tokens_per_s = course.seconds, course.tokens / course.seconds
            raise Finished

        learner.Learner.scores, loop.fit = watched, timed  # type: ignore[method-assign]
        keywords: dict[str, Any] = {
            "task": "chat", "adapter": "lora", "adapter.rank": RANK, "adapter.alpha": ALPHA,
            "data.train": str(Path(name)), "data.test_share": 0, "model.base": str(folder),
            "model.max_length": MAX_LENGTH, "train.epochs": 1, "train.batch_size": BATCH_ROWS, "train.warmup": 0,
            "train.learning_rate": same_rate(options.rows), "train.evaluate_every": f"{CURVE_STEPS} steps", "out": str(Path(name) / "run"),
        }  # fmt: skip
        try:
            run.train(config.resolve(keywords=keywords), quiet=True)
        except Finished:
            return


def same_rate(rows: int) -> float:
    """The peak from which our linear schedule has the rates of Trainer's, which falls from the peak itself."""
    steps = -(-rows // BATCH_ROWS)
    return RATE * (steps + 1) / steps


class Finished(BaseException):
    """Training is over; what follows is not part of the race."""


if __name__ == "__main__":
    main()
