"""Whether generation is right, at length: equal to transformers on real models, memory over ten thousand requests, the cost of sampling.

    python benchmarks/generation_checks.py equal MODEL_FOLDER
    python benchmarks/generation_checks.py memory
    python benchmarks/generation_checks.py sampler

Each adds a line to results.jsonl.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tunesmith.generation import sampler
from tunesmith.generation.decode import Job, Scheduler, generate
from tunesmith.generation.request import GenerationRequest as Request

VOCABULARY, ROWS = 49_152, 16
SAMPLED: dict[str, dict[str, Any]] = {
    "greedy": {},
    "temperature": {"temperature": 0.8},
    "top_p": {"temperature": 0.8, "top_p": 0.9},
    "top_k, top_p": {"temperature": 0.8, "top_k": 50, "top_p": 0.95},
    "top_k, top_p, min_p, repetition": {
        "temperature": 0.8, "top_k": 50, "top_p": 0.95, "min_p": 0.02, "repetition_penalty": 1.1,
    },
}  # fmt: skip
OPENINGS = ("The weather in", "Dear customer,", "Once upon a time", "To make bread,", "The first rule of", "In 1969")


def equal(options: argparse.Namespace) -> dict[str, Any]:
    """Greedy answers of a real model beside those of transformers' ``generate``, prompts of all lengths together."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    texts = [f"{opening} {number}" * (1 + number % 4) for number in range(options.count) for opening in OPENINGS]
    prompts = [tokenizer.encode(text) for text in texts[: options.count]]
    mine = generate(made, tokenizer, prompts, Request(max_tokens=24))
    same, worst = 0, 0.0
    for prompt, (answer,) in zip(prompts, mine, strict=True):
        theirs = made.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=24)[0, len(prompt) :].tolist()
        found = list(answer.tokens)
        same += found == theirs
        if found != theirs:
            worst = max(worst, _gap(made, prompt, found, theirs))
    return {"model": Path(options.model).name, "prompts": len(prompts), "equal": same, "largest_gap": worst}


@torch.no_grad()
def _gap(model: Any, prompt: list[int], found: list[int], theirs: list[int]) -> float:
    """Difference of the two tokens' log-probabilities where two answers part: what rounding has decided."""
    place = next(i for i, (a, b) in enumerate(zip(found, theirs, strict=False)) if a != b)
    log_p = model(torch.tensor([[*prompt, *found[:place]]])).logits[0, -1].log_softmax(0)
    return float((log_p[found[place]] - log_p[theirs[place]]).abs())


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Growth of resident memory over requests of random length, after the first fifth of them."""
    import generators

    with tempfile.TemporaryDirectory() as folder:
        made = generators.make(Path(folder), "gpt2")
    # What is remembered of prompts is bounded, and here full before anything is counted.
    scheduler = Scheduler(*made, max_rows=ROWS, prefill_tokens=256, prefix_bytes=2 << 20)
    source = random.Random(2)
    _answer(scheduler, source, options.requests // 5)
    before = _resident_mb()
    _answer(scheduler, source, options.requests - options.requests // 5)
    after = _resident_mb()
    return {"requests": options.requests, "before_mb": before, "after_mb": after, "grown_mb": round(after - before, 1)}


def _answer(scheduler: Scheduler, source: random.Random, count: int) -> None:
    under_way: list[Job] = []
    for _ in range(count):
        prompt = [source.randrange(40, 300) for _ in range(source.randrange(1, 40))]
        under_way.append(scheduler.submit(prompt, Request(max_tokens=source.randrange(1, 20), temperature=1.0)))
        while len(under_way) > 2 * ROWS:
            scheduler.step()
            under_way = [job for job in under_way if not job.done]
    while not scheduler.idle:
        scheduler.step()
    gc.collect()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def sampler_cost(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a step's sampling for sixteen rows of a vocabulary of 49,152, on one thread: the median and the least."""
    torch.set_num_threads(1)
    logits = 2.5 * torch.randn(ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    return {name: _milliseconds(logits, Request(**given)) for name, given in SAMPLED.items()}


def _milliseconds(logits: torch.Tensor, request: Request) -> dict[str, float]:
    rows = [sampler.Row(request, list(range(50)), list(range(20)), seed=seed) for seed in range(ROWS)]
    times = []
    for _ in range(60):
        began = time.perf_counter()
        sampler.draw(sampler.process(logits, rows), rows)
        times.append(1000 * (time.perf_counter() - began))
    return {"median_ms": round(sorted(times)[30], 2), "least_ms": round(min(times), 2)}


CHECKS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "equal": equal,
    "memory": memory,
    "sampler": sampler_cost,
}


def main() -> None:
    """Run one check and keep what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("model", nargs="?", help="folder of a causal language model, for `equal`")
    parser.add_argument("--count", type=int, default=60, help="prompts, for `equal`")
    parser.add_argument("--requests", type=int, default=10_000, help="for `memory`")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.jsonl"))
    options = parser.parse_args()
    found = {
        "benchmark": f"generation-{options.check}",
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        **CHECKS[options.check](options),
    }
    print(json.dumps(found))
    with options.out.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
