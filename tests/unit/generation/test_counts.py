"""What a scheduler counts adds up, and another thread reads it as of one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from generators import Generator
from tunesmith.generation.counts import Counts
from tunesmith.generation.decode import Scheduler
from tunesmith.generation.request import GenerationRequest as Request


def test_counts_add_up(generator: Callable[[str], Generator], prompts: Any) -> None:
    scheduler = Scheduler(*generator("llama"), max_rows=6, prefill_tokens=40)
    request = Request(max_tokens=7, ignore_eos=True)
    jobs = [scheduler.submit(prompt, request.but(num_beams=1 + number % 2)) for number, prompt in enumerate(prompts)]
    assert scheduler.counts.waiting == len(jobs)
    scheduler.step()
    now = scheduler.counts
    assert (now.running, now.reading, now.waiting) == (
        sum(bool(job.places) for job in jobs),
        len(scheduler._prompts.jobs),
        len(scheduler._prompts.waiting),
    )
    assert now.rows == sum(len(job.places) for job in jobs)
    assert now.rows + sum(job.rows for job in scheduler._prompts.jobs) == 6 - scheduler.free_rows
    scheduler.cancel(jobs[-1])
    stuck = scheduler.submit(
        prompts[0], Request(max_tokens=3, allowed_token_ids=(50,), logit_bias={50: 1}, min_tokens=3)
    )
    while not scheduler.idle:
        scheduler.step()
    counts = scheduler.counts
    assert (counts.finished, counts.cancelled, counts.failed) == (len(jobs), 1, 0)
    done = [*jobs[:-1], stuck]
    assert counts.generated_tokens == sum(job.rows * len(job.results[0].tokens) for job in done)
    assert counts.prompt_tokens + counts.reused_tokens == sum(len(job.plan.prompt) for job in done)
    assert (counts.running, counts.reading, counts.waiting, counts.rows, counts.columns) == (0, 0, 0, 0, 0)
    with pytest.raises(FrozenInstanceError):
        counts.rows = 3  # type: ignore[misc]


def test_another_thread_sees_whole_moments(generator: Callable[[str], Generator], prompts: Any) -> None:
    scheduler, seen, over = Scheduler(*generator("llama"), max_rows=4), [], threading.Event()
    for prompt in prompts[:30]:
        scheduler.submit(prompt, Request(max_tokens=5, ignore_eos=True))

    def watch() -> None:
        while not over.is_set():
            seen.append(scheduler.counts)
            over.wait(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    while not scheduler.idle:
        scheduler.step()
    over.set()
    watcher.join()
    assert len({id(one) for one in seen}) > 3
    for one in seen:
        assert isinstance(one, Counts)
        assert one.running + one.reading + one.waiting + one.finished == 30
        assert one.running == one.rows <= 4
    assert [one.generated_tokens for one in seen] == sorted(one.generated_tokens for one in seen)
