"""A request that fails, leaves or never ends harms no other: answers stay as they are, rows come back, memory stays."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from generators import Generator
from tunesmith.generation.decode import Job, Scheduler, generate
from tunesmith.generation.request import GenerationRequest as Request

Of = Callable[[str], Generator]
Prompts = list[list[int]]
POISON = 299
GOOD = Request(max_tokens=12, temperature=1.0, seed=3, ignore_eos=True, logit_bias={POISON: -100})
BEAMS = Request(max_tokens=10, num_beams=3)
FORMAT = {"type": "regex", "regex": "(a|b|c){3,9}"}


def run(scheduler: Scheduler) -> None:
    while not scheduler.idle:
        scheduler.step()


@pytest.fixture(params=["llama", "bart"])
def poisoned(request: pytest.FixtureRequest, generator: Of) -> Iterator[Generator]:
    """A model to which one token is no number."""
    made = generator(request.param)

    def spoil(_: Any, given: tuple[torch.Tensor, ...], embedded: torch.Tensor) -> torch.Tensor:
        return embedded.masked_fill((given[0] == POISON)[..., None], float("nan"))

    size = made.model.config.vocab_size
    tables = [part for part in made.model.modules() if getattr(part, "num_embeddings", None) == size]
    hooks = [table.register_forward_hook(spoil) for table in tables]
    yield made
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("bad", [Request(max_tokens=6), Request(max_tokens=6, num_beams=2)], ids=["drawn", "beams"])
def test_numbers_that_are_none_end_their_own_request_alone(poisoned: Generator, prompts: Prompts, bad: Request) -> None:
    clean = [[token for token in prompt if token != POISON] or [50] for prompt in prompts]
    alone = [generate(*poisoned, [prompt], GOOD)[0][0].tokens for prompt in clean[:6]]
    wide = generate(*poisoned, [clean[6]], BEAMS)[0][0].tokens
    scheduler = Scheduler(*poisoned, max_rows=8, prefill_tokens=40)
    jobs = [scheduler.submit(prompt, GOOD) for prompt in clean[:3]]
    scheduler.step()
    spoilt = [scheduler.submit([*prompt, POISON, 60], bad) for prompt in clean[:2]]
    later = [scheduler.submit(prompt, GOOD) for prompt in clean[3:6]]  # they take the places that are left
    beams = scheduler.submit(clean[6], BEAMS)
    run(scheduler)
    assert [job.results[0].tokens for job in [*jobs, *later]] == alone
    assert beams.results[0].tokens == wide
    for job in spoilt:
        assert {answer.finish_reason for answer in job.results} == {"error"}
        assert "not finite" in (job.results[0].error or "")
    assert scheduler.free_rows == 8


def test_a_token_that_spoils_an_answer_half_way_ends_it_there(poisoned: Generator, prompts: Prompts) -> None:
    bad = GOOD.but(logit_bias={POISON: 100}, min_tokens=3)
    spoilt, good = generate(*poisoned, prompts[:2], [bad, GOOD])
    assert spoilt[0].finish_reason == "error"
    assert "not finite" in (spoilt[0].error or "")
    assert good[0].tokens == generate(*poisoned, prompts[1:2], GOOD)[0][0].tokens


def test_what_a_spoilt_row_leaves_behind_spoils_no_row_after_it(poisoned: Generator, prompts: Prompts) -> None:
    """Its keys and values stay in the cache until they are overwritten, and a shorter row takes its place."""
    long, short = [60] * 20, [70, 71]
    alone = generate(*poisoned, [short], GOOD)[0][0].tokens
    scheduler = Scheduler(*poisoned, max_rows=2)
    mate = scheduler.submit(long, GOOD.but(max_tokens=30))
    spoilt = scheduler.submit(long, Request(max_tokens=9, logit_bias={POISON: 100}))
    while not spoilt.done:
        scheduler.step()
    late = scheduler.submit(short, GOOD)
    run(scheduler)
    assert spoilt.results[0].finish_reason == "error"
    assert (mate.results[0].finish_reason, late.results[0].finish_reason) == ("length", "length")
    assert late.results[0].tokens == alone


@pytest.mark.parametrize("kind", [{"temperature": 1.0, "seed": 1}, {"num_beams": 2}], ids=["drawn", "beams"])
def test_a_format_that_fails_half_way_harms_no_other(generator: Of, prompts: Prompts, kind: dict[str, Any]) -> None:
    pytest.importorskip("llguidance")
    made = generator("gpt2")
    alone = generate(*made, prompts[1:2], GOOD)[0][0].tokens
    scheduler = Scheduler(*made, max_rows=4)
    broken = scheduler.submit(prompts[0], Request(max_tokens=9, response_format=FORMAT, **kind))
    good = scheduler.submit(prompts[1], GOOD)
    scheduler.step()
    scheduler.step()
    for row in broken.choosing.rows:
        assert row.format is not None
        row.format.take(made.tokenizer.encode("z")[0])  # what the format does not allow
    run(scheduler)
    assert broken.results[0].finish_reason == "error"
    assert broken.results[0].error
    assert good.results[0].tokens == alone


MIXED = (
    Request(max_tokens=6),
    Request(max_tokens=10, temperature=1.3, seed=5, n=3),
    Request(max_tokens=8, num_beams=3, n=2),
    Request(max_tokens=12, temperature=0.8, seed=9, top_p=0.9, best_of=2),
)


@pytest.mark.slow
def test_a_storm_of_cancellations_leaks_no_row_and_changes_no_answer(generator: Of, prompts: Prompts) -> None:
    """Two thousand requests, of which about half are cancelled, at random steps."""
    made, source = generator("gpt2"), random.Random(4)
    asked = [(source.randrange(len(prompts)), source.choice(MIXED)) for _ in range(2000)]
    known: dict[tuple[int, int], list[Any]] = {}
    scheduler = Scheduler(*made, max_rows=12, prefill_tokens=128)
    jobs: list[Job] = []
    cancelled: set[int] = set()
    for number, request in asked:
        jobs.append(scheduler.submit(prompts[number], request))
        while len([job for job in jobs[-40:] if not job.done]) > 20:
            scheduler.step()
        if source.random() < 0.5:
            victim = source.choice(jobs[-20:])
            if not victim.done:
                cancelled.add(id(victim))
                scheduler.cancel(victim)
    run(scheduler)
    assert scheduler.free_rows == 12
    assert len(cancelled) > 300
    for (number, request), job in zip(asked, jobs, strict=True):
        if id(job) in cancelled:
            continue
        place = number, MIXED.index(request)
        if place not in known:
            known[place] = [answer.tokens for answer in generate(*made, [prompts[number]], request)[0]]
        assert [answer.tokens for answer in job.results] == known[place]


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("mine", MIXED, ids=["greedy", "drawn", "beams", "best"])
def test_an_answer_is_the_same_alone_together_and_late(
    generator: Of, prompts: Prompts, family: str, mine: Request
) -> None:
    made, source = generator(family), random.Random(1)
    alone = [answer.tokens for answer in generate(*made, [prompts[3]], mine)[0]]
    for late in (0, 1, 4):
        scheduler = Scheduler(*made, max_rows=12, prefill_tokens=48)
        for _ in range(4):
            scheduler.submit(source.choice(prompts), source.choice(MIXED))
        for _ in range(late):
            scheduler.step()
        job = scheduler.submit(prompts[3], mine)
        for _ in range(4):
            scheduler.submit(source.choice(prompts), source.choice(MIXED))
        run(scheduler)
        assert [answer.tokens for answer in job.results] == alone


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    """Two thousand requests of random length, in a process of its own; the benchmark has ten thousand."""
    script = Path(__file__).parents[3] / "benchmarks" / "generation_checks.py"
    said = subprocess.run(
        [sys.executable, str(script), "memory", "--requests", "2000", "--out", str(tmp_path / "results.jsonl")],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))
    assert found["grown_mb"] < 12, said.stdout
