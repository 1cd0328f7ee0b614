"""The life of a request: it is submitted, waits for rows, its prompt is read, its rows go on token by token, it ends.

Iteration-level batching (Yu et al. 2022, "Orca"): at every step requests may join and leave, each with parameters of
its own. One step feeds the last token of every row to the network, lets each request choose how its rows go on, and
reads a piece of the prompts of those that are about to join.

    >>> answers = generate(model, tokenizer, [[1, 2, 3]], GenerationRequest(max_tokens=8))  # doctest: +SKIP
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tunesmith.errors import UsageError, did_you_mean
from tunesmith.generation import lora as loras
from tunesmith.generation.admit import Admission
from tunesmith.generation.answers import FinishReason, Generated, Piece
from tunesmith.generation.batch import Batch, arrange
from tunesmith.generation.choosing import Beams, Choices, prompt_logprobs
from tunesmith.generation.counts import Counts
from tunesmith.generation.job import Job
from tunesmith.generation.lora import Lora
from tunesmith.generation.network import Network
from tunesmith.generation.reading import Prompts, Reading
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.store import PrefixStore

__all__ = ["Job", "Scheduler", "arrange", "generate", "stream"]


class Scheduler:
    """Answers requests together, a token of each at every step.

    Args:
        model: a causal language model or encoder-decoder of transformers.
        tokenizer: its tokenizer.
        max_rows: rows of the batch; a request takes as many as it has answers or beams.
        prefill_tokens: prompt tokens read in one step, so that long prompts do not hold up the others for long.
        prefix_bytes: most bytes of what was read that are remembered, so that the beginning of a prompt, or an
            encoder-decoder's text, is not read twice; 0: nothing is.
        adapters: low-rank updates that requests may name, by name: folders as PEFT saves them (bundles are), or ``Lora``.
        alone: see ``Network``; nothing is remembered then, since numbers would depend on what came before.
        engine: what users call whatever runs the model.

    Raises:
        UsageError: an adapter cannot share a batch with others, or does not fit the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_rows: int = 16,
        prefill_tokens: int = 512,
        prefix_bytes: int = 256 << 20,
        adapters: Mapping[str, str | Path | Lora] | None = None,
        alone: bool = False,
        engine: str = "pytorch",
    ) -> None:
        self._network = Network(model, alone=alone)
        self._tokenizer = tokenizer
        self._admission = Admission(self._network.facts, tokenizer, max_rows, engine)
        self._max_rows, self._prefill_tokens = max_rows, prefill_tokens
        self._store = PrefixStore(0 if alone else prefix_bytes)
        self._prompts = Prompts(self._network, self._store, prefill_tokens)
        self._batch = Batch(self._network, self._prompts.keep)
        self._loras: dict[str, Lora] = {}
        self._tally: Counter[str] = Counter()
        self._counts = Counts()
        for name, source in (adapters or {}).items():
            self.add_adapter(name, source)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._prompts.waiting or self._prompts.readings or self._batch.running)

    @property
    def free_rows(self) -> int:
        """Rows that no request holds."""
        return self._max_rows - self._batch.rows - sum(job.rows for job in self._prompts.jobs)

    @property
    def unasked_rows(self) -> int:
        """Rows that no request holds, and none that is queued waits for; below 0: more are waited for than are free."""
        return self.free_rows - sum(job.rows for job in self._prompts.waiting)

    @property
    def counts(self) -> Counts:
        """How it is doing, as of the last thing that it did; any thread may ask."""
        return self._counts

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the adapters that requests may ask for."""
        return tuple(self._loras)

    def warm(self) -> None:
        """Do now what the first request would wait for."""
        self._admission.warm()

    def add_adapter(self, name: str, source: str | Path | Lora) -> None:
        """Let requests ask for an adapter.

        Raises:
            UsageError: there is one of that name, it cannot share a batch with others, or does not fit the model.
        """
        if name in self._loras:
            raise UsageError(f"there is an adapter '{name}' already", hint="remove it first, or take another name")
        self._loras[name] = self._network.updates.fit(source if isinstance(source, Lora) else loras.read(name, source))

    def remove_adapter(self, name: str) -> None:
        """Let no further request ask for an adapter; those that did go on with it, and it goes with the last of them.

        Raises:
            UsageError: there is none of that name.
        """
        removed = self._adapter(name)
        del self._loras[name]
        self._network.updates.forget(removed)
        self._prompts.forget(removed)

    def submit(
        self,
        prompt: Sequence[int],
        request: GenerationRequest | None = None,
        *,
        start: Sequence[int] | None = None,
        adapter: str | None = None,
    ) -> Job:
        """Check a request and queue it.

        Args:
            prompt: token ids, with whatever special tokens the model expects.
            request: its parameters.
            start: tokens with which an encoder-decoder's answer begins (such as its target language).
            adapter: the name of the one that answers; None: the model as it is.

        Raises:
            UsageError: for what cannot be answered; nothing is queued then.
        """
        update = None if adapter is None else self._adapter(adapter)
        plan = self._admission.plan(prompt, request or GenerationRequest(), start)
        choosing = (Beams if plan.terms.request.num_beams > 1 else Choices)(plan, self._tokenizer)
        job = Job(plan, choosing, update)
        self._prompts.waiting.append(job)
        self._count()
        return job

    @torch.inference_mode()
    def step(self) -> list[Job]:
        """Go on by one token everywhere; return the jobs of which there is news in ``pieces``."""
        told = self._batch.go_on()
        left = self._prefill_tokens
        while left > 0 and (reading := self._prompts.next(self.free_rows)) is not None:
            columns = reading.tokens[:, reading.done :][:, : max(1, left // len(reading.jobs))]
            left -= max(columns.numel(), self._prompts.pass_tokens)
            told += self._read(reading, columns)
        self._ended(job for job in told if job.done)
        self._count()
        return [job for job in told if job.pieces]

    @torch.inference_mode()
    def cancel(self, job: Job, reason: FinishReason = "cancelled", warning: str | None = None) -> None:
        """End a job as it stands and free its rows at once; a warning says why in its answers."""
        if job.done:
            return
        job.close(reason, warning)
        self._prompts.drop(job)
        self._batch.leave(job)
        self._ended([job])
        self._count()

    def _adapter(self, name: str) -> Lora:
        if name not in self._loras:
            hint = did_you_mean(name, sorted(self._loras)) or f"there are: {', '.join(sorted(self._loras)) or 'none'}"
            raise UsageError(f"there is no adapter '{name}'", hint=hint)
        return self._loras[name]

    def _read(self, reading: Reading, columns: Tensor) -> list[Job]:
        """Read a piece of prompts; after the last one their rows join the batch."""
        first = reading.jobs[0]
        logits = self._network.feed(reading.state, columns, all_logits=first.scores_prompt)
        if first.scores_prompt:
            self._open(first, logits[0], reading.done)
            logits = logits[:, -1]
        reading.done += columns.shape[1]
        self._prompts.turn()
        if not reading.is_over:
            return []
        for job in reading.jobs:
            self._tally["reused_tokens"] += job.reused
            self._tally["prefix_hits"] += job.reused > 0
            self._tally["prompt_tokens"] += job.plan.terms.prompt_tokens - job.reused
            if job.plan.terms.request.echo:
                job.opening_text = self._tokenizer.decode(job.plan.prompt, skip_special_tokens=True)
        return self._batch.join(reading, logits)

    def _open(self, job: Job, logits: Tensor, done: int) -> None:
        """Log-probabilities of the prompt, with which an echoed answer starts; ``logits`` after token ``done`` and on."""
        prompt = job.plan.prompt
        known = prompt_logprobs(prompt[done : done + len(logits) + 1], logits, job.plan.terms.request.top_logprobs)
        job.opening = (*job.opening, *known) if not done else (*job.opening, *list(known)[1:])

    def _ended(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            reason = job.results[0].finish_reason
            self._tally[{"cancelled": "cancelled", "error": "failed"}.get(reason, "finished")] += 1

    def _count(self) -> None:
        cache = self._batch.state.own
        self._counts = Counts(
            running=len(self._batch.running),
            reading=len(self._prompts.jobs),
            waiting=len(self._prompts.waiting),
            rows=self._batch.rows,
            columns=cache.width,
            room=cache.room,
            generated_tokens=self._batch.generated,
            prefix_bytes=self._store.bytes,
            **self._tally,
        )


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    requests: GenerationRequest | Sequence[GenerationRequest] | None = None,
    *,
    named: Sequence[str | None] | None = None,
    **options: Any,
) -> list[list[Generated]]:
    """Answer prompts together.

    Args:
        model: see ``Scheduler``.
        tokenizer: see ``Scheduler``.
        prompts: token ids of each.
        requests: parameters of all, or of each.
        named: of each the name of the adapter that answers.
        options: of ``Scheduler``.

    Returns:
        For each prompt its ``n`` answers, best first where they are ranked.

    Raises:
        UsageError: before anything is generated, if any request cannot be answered.
    """
    each = requests if isinstance(requests, Sequence) else [requests or GenerationRequest()] * len(prompts)
    whose = named or [None] * len(prompts)
    scheduler = Scheduler(model, tokenizer, **options)
    jobs: dict[int, Job] = {}
    for number in sorted(range(len(prompts)), key=lambda number: -len(prompts[number])):  # like lengths side by side
        jobs[number] = scheduler.submit(prompts[number], each[number], adapter=whose[number])
    while not scheduler.idle:
        scheduler.step()
    return [jobs[number].results for number in range(len(prompts))]


def stream(scheduler: Scheduler, job: Job) -> Iterator[Piece]:
    """News of a job as it comes, stepping the scheduler; leaving the loop early cancels the job."""
    try:
        while not (job.done and not job.pieces):
            while job.pieces:
                yield job.pieces.popleft()
            if not job.done:
                scheduler.step()
    finally:
        scheduler.cancel(job)
