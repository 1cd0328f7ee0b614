"""Rows whose numbers are none end by themselves, whatever their neighbours are and wherever it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from generators import Generator
from tunesmith.generation.decode import Scheduler, generate
from tunesmith.generation.request import GenerationRequest as Request

BAD = 77
PLAIN = Request(max_tokens=6, logit_bias={BAD: -100})
REQUESTS = (
    Request(max_tokens=6),
    Request(max_tokens=6, num_beams=2),
    Request(max_tokens=6, temperature=1.0, seed=1, n=2),
)


@pytest.fixture(params=["llama", "t5"])
def made(request: pytest.FixtureRequest, generator: Callable[[str], Generator]) -> Iterator[Generator]:
    """A model that computes no numbers from a text with a certain token."""
    found = generator(request.param)
    size = found.model.config.vocab_size
    tables = [module for module in found.model.modules() if getattr(module, "num_embeddings", None) == size]
    spoil = lambda _, given, output: output.masked_fill((given[0] == BAD)[..., None], float("nan"))  # noqa: E731
    handles = [table.register_forward_hook(spoil) for table in tables]
    yield found
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("piece", [8, 512])
@pytest.mark.parametrize("request_", REQUESTS, ids=["greedy", "beams", "drawn"])
def test_a_prompt_without_numbers_ends_alone(made: Generator, prompts: Any, request_: Request, piece: int) -> None:
    given = [[token for token in prompt if token != BAD] or [50] for prompt in prompts[:8]]
    expected = [[answer.tokens for answer in generate(*made, [prompt], request_)[0]] for prompt in given]
    scheduler = Scheduler(*made, max_rows=5, prefill_tokens=piece)
    jobs = []
    for prompt in given:
        bad = scheduler.submit([*prompt[:3], BAD, *prompt], request_)
        jobs.append((bad, scheduler.submit(prompt, request_)))
    while not scheduler.idle:
        scheduler.step()
    for (bad, good), tokens in zip(jobs, expected, strict=True):
        assert {answer.finish_reason for answer in bad.results} == {"error"}
        assert "not finite" in str(bad.results[0].error)
        assert [answer.tokens for answer in good.results] == tokens
    failed = sum(job.results[0].finish_reason == "error" for pair in jobs for job in pair)
    assert 8 <= failed <= 12  # a good one may come upon the token by itself
    assert (scheduler.free_rows, scheduler.counts.failed, scheduler.counts.finished) == (5, failed, 16 - failed)


def test_what_is_no_number_is_not_remembered(made: Generator) -> None:
    scheduler, prompt = Scheduler(*made), [BAD, *range(100, 140)]
    for _ in range(2):
        job = scheduler.submit(prompt, Request(max_tokens=3))
        while not scheduler.idle:
            scheduler.step()
        assert job.results[0].finish_reason == "error"
    if not made.model.config.is_encoder_decoder:
        assert (scheduler.counts.prefix_bytes, scheduler.counts.prefix_hits) == (0, 0)
    assert torch.isfinite(made.model.get_input_embeddings().weight).all()
