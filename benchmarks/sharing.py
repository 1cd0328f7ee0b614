"""What rows of one model share: beginnings that are read once, several adapters in a batch, columns of one cache.

    python -m benchmarks.sharing [--threads 1] [--repeats 5]

On the default base model for texts: the time to the first token of a prompt of some 400 tokens of which all but the last
words were read before, with and without what is remembered; the time of a step of eight rows plain, with four adapters of rank 16 on
every linear layer, with one; and the time of a step of eight rows of like length, and of seven beside a long one. Medians and
least values are appended to benchmarks/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import torch

from benchmarks.accuracy import RESULTS
from tunesmith import sources
from tunesmith.generation.decode import Job, Scheduler
from tunesmith.generation.lora import Lora
from tunesmith.generation.request import GenerationRequest
from tunesmith.networks import generators
from tunesmith.text import dialogue

BASE = "SmolLM2-135M-Instruct"
SYSTEM = (
    "You answer for a shop that sells tools for gardens. Be brief and polite, and speak only of what the shop sells. "
)
QUESTIONS = ("Do you have rakes?", "How much is a spade?")
ROWS, ADAPTERS, RANK, STEPS, LONG = 8, 4, 16, 12, 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = sources.resolve(BASE).path
    model, tokenizer = generators.load(path).model, generators.load_tokenizer(path)
    found = {
        "first_token_s": first_tokens(model, tokenizer, options.repeats),
        "step_s": steps(model, tokenizer, options.repeats),
        "long_row_step_s": long_row(model, tokenizer, options.repeats),
    }
    entry = {
        "benchmark": "sharing",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": BASE,
        "threads": options.threads,
        **{
            what: {name: {"median": median(times), "least": min(times)} for name, times in each.items()}
            for what, each in found.items()
        },
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps(entry, indent=1))


def first_tokens(model: Any, tokenizer: Any, repeats: int) -> dict[str, list[float]]:
    """Seconds to the first token of the second of two prompts that begin alike."""
    system = {"role": "system", "content": (SYSTEM * 15).strip()}
    one, other = (
        dialogue.prompt_ids(tokenizer, [system, {"role": "user", "content": question}]) for question in QUESTIONS
    )
    found: dict[str, list[float]] = {"nothing remembered": [], "remembered": []}
    for _ in range(repeats):
        for name, bytes_ in zip(found, (0, 256 << 20), strict=True):
            scheduler = Scheduler(model, tokenizer, prefix_bytes=bytes_)
            started(scheduler, one)
            found[name].append(started(scheduler, other))
    print(f"prompts of {len(one)} and {len(other)} tokens; reused: {scheduler.counts.reused_tokens}")
    return found


def started(scheduler: Scheduler, prompt: Sequence[int]) -> float:
    """Seconds from the request to its first token; it is finished afterwards."""
    begun = time.perf_counter()
    job = scheduler.submit(prompt, GenerationRequest(max_tokens=2, ignore_eos=True))
    while not job.pieces:
        scheduler.step()
    took = time.perf_counter() - begun
    while not scheduler.idle:
        scheduler.step()
    return took


def steps(model: Any, tokenizer: Any, repeats: int) -> dict[str, list[float]]:
    """Seconds of a step of eight rows."""
    adapters = {f"adapter {number}": adapter(model, number) for number in range(ADAPTERS)}
    plain, adapted = Scheduler(model, tokenizer), Scheduler(model, tokenizer, adapters=adapters)
    names = list(adapters)
    each: dict[str, tuple[Scheduler, list[str | None]]] = {
        "plain": (plain, [None] * ROWS),
        "four adapters": (adapted, [names[row % ADAPTERS] for row in range(ROWS)]),
        "one adapter": (adapted, [names[0]] * ROWS),
    }
    found: dict[str, list[float]] = {name: [] for name in each}
    for _ in range(repeats):
        for name, (scheduler, named) in each.items():
            found[name] += timed(scheduler, [prompt(row, 40) for row in range(ROWS)], named)
    return found


def long_row(model: Any, tokenizer: Any, repeats: int) -> dict[str, list[float]]:
    """Seconds of a step of eight rows of like length, and of seven beside a long one."""
    scheduler = Scheduler(model, tokenizer)
    found: dict[str, list[float]] = {"eight of 40": [], f"seven of 40, one of {LONG}": []}
    for _ in range(max(1, repeats // 2)):
        for name, longest in zip(found, (40, LONG), strict=True):
            lengths = [longest, *[40] * (ROWS - 1)]
            found[name] += timed(scheduler, [prompt(row, length) for row, length in enumerate(lengths)], [None] * ROWS)
    return found


def timed(scheduler: Scheduler, prompts: Sequence[Sequence[int]], named: Sequence[str | None]) -> list[float]:
    """Seconds of each of some steps of these rows."""
    asked = GenerationRequest(max_tokens=500, ignore_eos=True)
    jobs: list[Job] = [scheduler.submit(ids, asked, adapter=name) for ids, name in zip(prompts, named, strict=True)]
    while scheduler.counts.running < len(jobs):
        scheduler.step()
    found = []
    for _ in range(STEPS):
        begun = time.perf_counter()
        scheduler.step()
        found.append(time.perf_counter() - begun)
    for job in jobs:
        scheduler.cancel(job)
    return found


def prompt(row: int, length: int) -> list[int]:
    """Some tokens, others for each row."""
    return [100 + row, *range(200, 200 + length - 1)]


def adapter(model: Any, number: int) -> Lora:
    """A small random update of every linear layer but the last."""
    source = torch.Generator().manual_seed(number)
    layers = {
        name: (
            0.02 * torch.randn(RANK, module.in_features, generator=source),
            0.002 * torch.randn(module.out_features, RANK, generator=source),
        )
        for name, module in model.get_decoder().named_modules(prefix="model")
        if isinstance(module, torch.nn.Linear)
    }
    return Lora(f"adapter {number}", layers)


if __name__ == "__main__":
    main()
