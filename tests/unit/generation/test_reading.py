"""Prompts that begin alike are read once, long ones do not hold up short ones, and answers stay what they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tiny_generators
from generators import FAMILIES, Generator
from tiny_generators import Kind
from tunesmith.generation.decode import Job, Scheduler
from tunesmith.generation.lora import Lora
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.networks import generators

Of = Callable[[str], Generator]
GREEDY = Request(max_tokens=8)
REQUESTS = (
    GREEDY,
    Request(max_tokens=10, num_beams=3),
    Request(max_tokens=6, temperature=1.5, seed=3, n=2, logprobs=True),
    Request(max_tokens=2, echo=True, logprobs=True),
    Request(max_tokens=5, echo=True),
    Request(max_tokens=20, truncate_prompt="start"),
)


def text(seed: int, length: int) -> list[int]:
    source = random.Random(seed)
    return [source.randrange(40, 300) for _ in range(length)]


def run(scheduler: Scheduler) -> None:
    while not scheduler.idle:
        scheduler.step()


def ask(scheduler: Scheduler, prompt: list[int], request: Request = GREEDY) -> Job:
    job = scheduler.submit(prompt, request)
    run(scheduler)
    return job


def same(found: Job, expected: Job) -> None:
    for one, other in zip(found.results, expected.results, strict=True):
        assert (one.tokens, one.text) == (other.tokens, other.text)
        mine, theirs = ([entry.logprob or 0.0 for entry in answer.logprobs] for answer in (one, other))
        assert mine == pytest.approx(theirs, abs=1e-4)


def plain(made: Generator, prompt: list[int], request: Request = GREEDY) -> Job:
    """The answer of a scheduler that remembers nothing and has nothing else to do."""
    return ask(Scheduler(*made, prefix_bytes=0), prompt, request)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_prompt_that_begins_as_another_did_is_read_from_where_they_part(generator: Of, family: str) -> None:
    made = generator(family)
    scheduler, system = Scheduler(*made), text(0, 35)
    first, second = ask(scheduler, [*system, *text(1, 9)]), ask(scheduler, [*system, *text(2, 7)])
    again = ask(scheduler, [*system, *text(2, 7)])
    assert [job.reused for job in (first, second, again)] == [0, 32, 32]
    counts = scheduler.counts
    assert (counts.prefix_hits, counts.reused_tokens, counts.prompt_tokens) == (2, 64, 44 + 42 + 42 - 64)
    for job in (first, second, again):
        same(job, plain(made, list(job.plan.prompt)))


def test_a_whole_known_prompt_still_reads_its_last_token(generator: Of) -> None:
    made = generator("llama")
    scheduler, prompt = Scheduler(*made), text(0, 32)
    ask(scheduler, prompt)
    job = ask(scheduler, prompt)
    assert job.reused == 31
    same(job, plain(made, prompt))


def test_a_conversation_goes_on_from_its_answers(generator: Of) -> None:
    made = generator("llama")
    scheduler, prompt, request = Scheduler(*made), text(0, 20), Request(max_tokens=16, ignore_eos=True)
    first = ask(scheduler, prompt, request)
    longer = [*prompt, *first.results[0].tokens, *text(1, 4)]
    second = ask(scheduler, longer, GREEDY)
    assert second.reused == 32
    same(second, plain(made, longer))


def test_those_that_come_together_wait_for_the_first_to_read_what_they_share(generator: Of) -> None:
    made, system = generator("llama"), text(0, 40)
    scheduler = Scheduler(*made)
    jobs = [scheduler.submit([*system, *text(number, 5)], GREEDY) for number in range(1, 6)]
    scheduler.step()
    assert [job.reused for job in jobs] == [0, 32, 32, 32, 32]
    run(scheduler)
    for job in jobs:
        same(job, plain(made, list(job.plan.prompt)))


def test_rows_of_one_reading_may_know_more_or_less(generator: Of) -> None:
    made = generator("llama")
    scheduler, one, other = Scheduler(*made), text(0, 50), text(1, 50)
    ask(scheduler, one[:33])
    ask(scheduler, other[:40])
    prompts = [[*one[:32], 77, 78], [*other[:32], 90, 91, 92, 93], text(2, 5), [*one[:31], 50, 51, 52]]
    scheduler._prompts.pass_tokens = 1000  # whatever the padding
    jobs = [scheduler.submit(prompt, GREEDY) for prompt in prompts]
    scheduler.step()
    assert len(jobs[0].places) == len(jobs[3].places) == 1
    assert [job.reused for job in jobs] == [0, 2, 0, 0]  # all are fed as many columns as the last must be
    run(scheduler)
    for job in jobs:
        same(job, plain(made, list(job.plan.prompt)))


@pytest.mark.parametrize(
    "request_", [Request(max_tokens=3, echo=True, logprobs=True), Request(max_tokens=0, echo=True, logprobs=True)]
)
def test_a_prompt_whose_tokens_are_scored_is_read_whole(generator: Of, request_: Request) -> None:
    made, prompt = generator("llama"), text(0, 40)
    scheduler = Scheduler(*made)
    ask(scheduler, prompt)
    job = ask(scheduler, prompt, request_)
    assert job.reused == 0
    assert len(job.results[0].logprobs) >= 40
    same(job, plain(made, prompt, request_))
    echoed = ask(scheduler, prompt, GREEDY.but(echo=True))
    assert echoed.reused == 32
    assert echoed.results[0].text.startswith(made.tokenizer.decode(prompt))


def test_numbers_that_must_be_the_same_to_the_bit_are_never_reused(generator: Of) -> None:
    scheduler, prompt = Scheduler(*generator("llama"), alone=True), text(0, 40)
    assert [ask(scheduler, prompt).reused for _ in range(2)] == [0, 0]
    assert scheduler.counts.prefix_bytes == 0


def test_a_cut_prompt_is_found_by_what_is_left_of_it(generator: Of) -> None:
    made = generator("gpt2")  # 64 positions
    scheduler, prompt, request = Scheduler(*made), text(0, 80), Request(max_tokens=10, truncate_prompt="start")
    ask(scheduler, prompt[-54:], Request(max_tokens=10))
    job = ask(scheduler, prompt, request)
    assert job.reused == 32
    same(job, plain(made, prompt, request))


@pytest.mark.parametrize("family", ["t5", "bart", "marian"])
def test_a_source_text_is_encoded_once(generator: Of, family: str) -> None:
    made = generator(family)
    scheduler, source = Scheduler(*made), text(0, 20)
    encoder, calls = made.model.get_encoder(), []
    handle = encoder.register_forward_hook(lambda _, given, output: calls.append(output.last_hidden_state.shape))
    try:
        jobs = [scheduler.submit(source, request) for request in (GREEDY, Request(max_tokens=6, num_beams=2))]
        jobs += [scheduler.submit(text(1, 30), GREEDY)]
        run(scheduler)
        jobs += [ask(scheduler, source)]
        assert sum(shape[0] for shape in calls) == 2
    finally:
        handle.remove()
    assert [job.reused for job in jobs] == [0, 20, 0, 20]
    for job in jobs:
        same(job, plain(made, list(job.plan.source), job.plan.terms.request))


def test_a_short_prompt_does_not_wait_for_a_long_one(generator: Of) -> None:
    made = generator("llama")
    scheduler = Scheduler(*made, prefill_tokens=20)
    long = scheduler.submit(text(0, 56), GREEDY)
    scheduler.step()
    assert (scheduler.counts.reading, scheduler.counts.running) == (1, 0)
    others = [scheduler.submit(text(number, 6), GREEDY) for number in (1, 2)]
    scheduler.step()
    scheduler.step()
    assert all(job.places for job in others)
    assert not long.places
    run(scheduler)
    for job in (long, *others):
        same(job, plain(made, list(job.plan.prompt)))


def test_long_prompts_get_their_turn_while_short_ones_keep_coming(generator: Of) -> None:
    scheduler = Scheduler(*generator("llama"), prefill_tokens=16, max_rows=6)
    long = scheduler.submit(text(0, 56), GREEDY)
    for number in range(12):
        scheduler.submit(text(number, 10), Request(max_tokens=2, ignore_eos=True))
        scheduler.step()
    assert long.places or long.done


def test_a_prompt_that_is_cancelled_while_it_is_read_is_no_longer_read(generator: Of) -> None:
    made = generator("llama")
    scheduler = Scheduler(*made, prefill_tokens=24, max_rows=4)
    first, second = (scheduler.submit(text(number, 44), GREEDY) for number in (1, 2))
    scheduler._prompts.pass_tokens = 1000
    together = scheduler._prompts._begun([first, second])
    scheduler._prompts.waiting.clear()
    scheduler._prompts.readings.append(together)
    scheduler.step()
    assert 0 < together.done < 44
    scheduler.cancel(first)
    assert (together.jobs, tuple(together.tokens.shape), scheduler.free_rows) == ([second], (1, 44), 3)
    run(scheduler)
    same(second, plain(made, list(second.plan.prompt)))
    assert first.results[0].finish_reason == "cancelled"


@pytest.mark.parametrize("state", ["waiting", "reading", "running"])
@pytest.mark.parametrize("request_", [GREEDY, Request(max_tokens=9, num_beams=3)], ids=["greedy", "beams"])
@pytest.mark.parametrize("family", ["llama", "bart"])
def test_cancelling_frees_the_rows_at_once_in_every_state(
    generator: Of, family: str, request_: Request, state: str
) -> None:
    scheduler = Scheduler(*generator(family), max_rows=request_.rows, prefill_tokens=8)
    if state == "waiting":
        scheduler.submit(text(9, 5), request_)
        scheduler.step()
    kwargs = {"start": text(3, 20)} if family == "bart" else {}
    job = scheduler.submit(text(0, 30), request_, **kwargs)
    if state != "waiting":
        scheduler.step()
    while state == "running" and not job.places:
        scheduler.step()
    now = (job in scheduler._prompts.waiting, job in scheduler._prompts.jobs, bool(job.places))
    assert now == (state == "waiting", state == "reading", state == "running")
    before = scheduler.free_rows
    scheduler.cancel(job)
    assert scheduler.free_rows == before + (0 if state == "waiting" else request_.rows)
    assert job not in (*scheduler._prompts.waiting, *scheduler._prompts.jobs, *scheduler._batch.running)
    run(scheduler)
    assert scheduler.free_rows == request_.rows


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(2))
def test_whatever_comes_goes_and_is_cancelled_answers_stay(generator: Of, family: str, seed: int) -> None:
    made, source = generator(family), random.Random(seed)
    scheduler = Scheduler(
        *made, max_rows=source.choice([4, 7]), prefill_tokens=source.choice([12, 40]),
        prefix_bytes=source.choice([1 << 20, 60_000]),
    )  # fmt: skip
    requests = [one for one in REQUESTS if not (one.echo and made.model.config.is_encoder_decoder)]
    systems = [text(number, length) for number, length in enumerate((0, 32, 33, 34))]
    jobs: list[Job] = []
    for _ in range(35):
        for _ in range(source.choice([0, 1, 1, 3])):
            prompt = [*source.choice(systems), *text(source.randrange(5), source.randrange(1, 12))]
            jobs.append(scheduler.submit(prompt, source.choice(requests)))
        if jobs and source.random() < 0.3:
            scheduler.cancel(source.choice(jobs))
        scheduler.step()
    run(scheduler)
    assert scheduler.free_rows == scheduler._max_rows
    kept = [job for job in jobs if job.results[0].finish_reason != "cancelled"]
    assert len(kept) > 10
    if scheduler._store._limit > 100_000:
        assert scheduler.counts.prefix_hits > 0
    seen: dict[str, Job] = {}
    for job in kept:
        given, request = list(job.plan.source or job.plan.prompt), job.plan.terms.request.but(seed=job.plan.terms.seed)
        if (key := repr((given, request.but(seed=None) if request.greedy else request))) not in seen:
            seen[key] = plain(made, given, request)
        expected = seen[key]
        same(job, expected)
    assert scheduler.counts.cancelled == len(jobs) - len(kept)


@pytest.mark.parametrize("kind", ["opt", "gemma2", "cohere"])
def test_other_families_go_on_from_what_they_read(kind: Kind, tmp_path: Path) -> None:
    """With learned positions, with layers that see a window only, with scaled logits; and with adapters."""
    folder = tiny_generators.write(tmp_path / kind, kind)
    made = Generator(generators.load(folder).model, generators.load_tokenizer(folder))
    source = torch.Generator().manual_seed(0)
    layers = {
        name: (
            torch.randn(2, module.in_features, generator=source),
            torch.randn(module.out_features, 2, generator=source),
        )
        for name, module in made.model.named_modules()
        if isinstance(module, torch.nn.Linear) and "lm_head" not in name
    }
    scheduler, system = Scheduler(*made, adapters={"it": Lora("it", layers)}), text(0, 100)
    request = Request(max_tokens=5, ignore_eos=True, logprobs=True)
    found = {}
    for name in (None, "it"):
        ask(scheduler, system, request)
        jobs = [scheduler.submit([*system, *text(n, 6)], request, adapter=name) for n in (1, 2)]
        run(scheduler)
        other = Scheduler(*made, adapters={"it": Lora("it", layers)}, prefix_bytes=0)
        expected = [other.submit([*system, *text(n, 6)], request, adapter=name) for n in (1, 2)]
        run(other)
        assert max(job.reused for job in jobs) == 96
        for job, plain_job in zip(jobs, expected, strict=True):
            same(job, plain_job)
        found[name] = jobs[0].results[0].logprobs[0].logprob
    assert found[None] != pytest.approx(found["it"], abs=1e-3)
