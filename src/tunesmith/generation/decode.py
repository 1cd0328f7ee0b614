"""The life of a request: it is submitted, waits for rows, its prompt is read, its rows go on token by token, it ends.

Iteration-level batching (Yu et al. 2022, "Orca"): at every step requests may join and leave, each with parameters of
its own. One step feeds the last token of every row to the network, lets each request choose how its rows go on, and
reads a piece of the prompts of those that are about to join.

    >>> answers = generate(model, tokenizer, [[1, 2, 3]], GenerationRequest(max_tokens=8))  # doctest: +SKIP
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tunesmith.generation import sampler
from tunesmith.generation.admit import Admission, Plan
from tunesmith.generation.answers import FinishReason, Generated, Piece, TokenLogprob
from tunesmith.generation.choosing import Beams, Choices, prompt_logprobs
from tunesmith.generation.network import Network, State, left_padded
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.sampler import Row


@dataclass(eq=False)
class Job:
    """A submitted request and what has become of it.

    plan: as checked. pieces: news not yet taken. answers: the finished answers by number. places: its rows' places in
    the batch.
    """

    plan: Plan
    choosing: Choices | Beams
    pieces: deque[Piece] = field(default_factory=deque)
    answers: dict[int, Generated] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    opening: tuple[TokenLogprob, ...] = ()
    opening_text: str = ""
    closed: bool = False

    @property
    def done(self) -> bool:
        """Whether all its answers are finished."""
        return self.closed

    @property
    def results(self) -> list[Generated]:
        """Its finished answers."""
        return [self.answers[number] for number in sorted(self.answers)]

    def tell(self, pieces: Sequence[Piece]) -> None:
        """Keep news; an answer that echoes starts with the prompt."""
        for piece in pieces:
            if piece.answer is not None:
                if self.plan.terms.request.echo:
                    piece = replace(piece, answer=self._echoed(piece.answer))
                assert piece.answer is not None
                self.answers[piece.choice] = piece.answer
            self.pieces.append(piece)

    def close(self, reason: FinishReason) -> None:
        """End it as it stands."""
        self.tell(self.choosing.end(reason))
        self.closed = True

    def _echoed(self, answer: Generated) -> Generated:
        return replace(answer, text=self.opening_text + answer.text, logprobs=(*self.opening, *answer.logprobs))


@dataclass
class _Reading:
    """Jobs whose prompts are being read together: left-padded tokens (jobs, columns), of which ``done`` are read."""

    jobs: list[Job]
    state: State
    tokens: Tensor
    done: int = 0


@dataclass(frozen=True)
class _Next:
    """A row that goes on: of which job, from which row, with which token."""

    job: Job
    source: int
    token: int


class Scheduler:
    """Answers requests together, a token of each at every step.

    Args:
        model: a causal language model or encoder-decoder of transformers.
        tokenizer: its tokenizer.
        max_rows: rows of the batch; a request takes as many as it has answers or beams.
        prefill_tokens: prompt tokens read in one step, so that long prompts do not hold up the others for long.
        alone: see ``Network``.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, max_rows: int = 16, prefill_tokens: int = 512, alone: bool = False
    ) -> None:
        self._network = Network(model, alone=alone)
        self._tokenizer = tokenizer
        self._admission = Admission(self._network.facts, tokenizer, max_rows)
        self._max_rows, self._prefill_tokens = max_rows, prefill_tokens
        self._waiting: deque[Job] = deque()
        self._reading: _Reading | None = None
        self._running: list[Job] = []
        self._state = self._network.empty(max_rows)
        self._tokens: list[int] = []  # the last token of each row, which the network has not read yet

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._reading or self._running)

    @property
    def free_rows(self) -> int:
        """Rows that no request holds."""
        reading = [job for job in self._reading.jobs if not job.done] if self._reading else []
        return self._max_rows - len(self._tokens) - sum(job.plan.terms.request.rows for job in reading)

    def submit(
        self, prompt: Sequence[int], request: GenerationRequest | None = None, *, start: Sequence[int] | None = None
    ) -> Job:
        """Check a request and queue it.

        Args:
            prompt: token ids, with whatever special tokens the model expects.
            request: its parameters.
            start: tokens with which an encoder-decoder's answer begins (such as its target language).

        Raises:
            UsageError: for what cannot be answered; nothing is queued then.
        """
        plan = self._admission.plan(prompt, request or GenerationRequest(), start)
        job = Job(plan, (Beams if plan.terms.request.num_beams > 1 else Choices)(plan, self._tokenizer))
        self._waiting.append(job)
        return job

    def step(self) -> list[Job]:
        """Go on by one token everywhere; return the jobs of which there is news in ``pieces``."""
        told = self._go_on()
        reading = self._reading or self._admit()
        if reading is not None:
            told += self._read(reading)
        return [job for job in told if job.pieces]

    def cancel(self, job: Job) -> None:
        """End a job as it stands and free its rows at once."""
        if job.done:
            return
        job.close("cancelled")
        if self._reading and all(one.done for one in self._reading.jobs):
            self._reading = None
        if job in self._waiting:
            self._waiting.remove(job)
        elif job in self._running:
            self._settle(
                [
                    _Next(one, place, self._tokens[place])
                    for one in self._running
                    for place in one.places
                    if one is not job
                ]
            )

    def _go_on(self) -> list[Job]:
        """Feed every row its last token and choose the next ones."""
        if not self._running:
            return []
        jobs = self._running
        logits = self._network.feed(self._state, torch.tensor(self._tokens)[:, None])
        self._settle(self._choose(jobs, logits))
        return jobs

    def _admit(self) -> _Reading | None:
        """Take waiting requests, first come first served, whose prompts can be read in one go."""
        jobs: list[Job] = []
        longest, free = 0, self.free_rows
        while self._waiting:
            plan = self._waiting[0].plan
            longest = max(longest, len(plan.source or plan.prompt))
            alone = plan.terms.request.echo or self._network.alone
            if plan.terms.request.rows > free or (jobs and (alone or longest * (len(jobs) + 1) > self._prefill_tokens)):
                break
            free -= plan.terms.request.rows
            jobs.append(self._waiting.popleft())
            if alone:
                break
        if not jobs:
            return None
        prompts = [job.plan.prompt for job in jobs]
        state = self._network.start(prompts, [job.plan.source for job in jobs])
        self._reading = _Reading(jobs, state, left_padded(prompts))
        return self._reading

    def _read(self, reading: _Reading) -> list[Job]:
        """Read a piece of the prompts; after the last one their rows join the batch."""
        piece = reading.tokens[:, reading.done :][:, : max(1, self._prefill_tokens // len(reading.jobs))]
        first = reading.jobs[0]
        echo = first.plan.terms.request.echo
        logits = self._network.feed(reading.state, piece, all_logits=echo)
        if echo:
            self._open(first, logits[0], reading.done)
            logits = logits[:, -1]
        reading.done += piece.shape[1]
        if reading.done < reading.tokens.shape[1]:
            return []
        self._reading = None
        return self._join(reading, logits)

    def _open(self, job: Job, logits: Tensor, done: int) -> None:
        """What an echoed answer starts with: the prompt's text and log-probabilities."""
        request, prompt = job.plan.terms.request, job.plan.prompt
        job.opening_text = self._tokenizer.decode(prompt, skip_special_tokens=True)
        if request.logprobs:
            known = prompt_logprobs(prompt[done : done + len(logits) + 1], logits, request.top_logprobs)
            job.opening = (*job.opening, *known) if not done else (*job.opening, *list(known)[1:])

    def _join(self, reading: _Reading, logits: Tensor) -> list[Job]:
        """Choose the first tokens of rows whose prompts are read, and make them part of the batch."""
        for job in reading.jobs:
            if job.plan.terms.limit == 0 and not job.done:
                job.close("length")
        jobs = [job for job in reading.jobs if not job.done]
        sources = [number for number, job in enumerate(reading.jobs) if not job.done for _ in job.choosing.rows]
        for job, place in zip(jobs, _starts([len(job.choosing.rows) for job in jobs]), strict=True):
            job.places = list(range(place, place + len(job.choosing.rows)))
        going = self._choose(jobs, logits[sources]) if jobs else []
        if going:
            self._state.join(reading.state, [sources[one.source] for one in going])
        for one in going:
            one.job.places.append(len(self._tokens))
            self._tokens.append(one.token)
        self._running = [*self._running, *(job for job in jobs if job.places)]
        return reading.jobs

    def _choose(self, jobs: Sequence[Job], logits: Tensor) -> list[_Next]:
        """Let each job choose how its rows go on. Afterwards its places are empty, for what follows to fill."""
        rows: list[Row] = [Row(GenerationRequest(), ())] * len(logits)
        scored = logits
        for job in jobs:
            for place, row in zip(job.places, job.choosing.rows, strict=True):
                rows[place] = row
            if isinstance(job.choosing, Beams):
                scored = scored.clone() if scored is logits else scored
                scored[job.places] = logits[job.places].log_softmax(1)
        processed = sampler.process(scored, rows)
        drawn = sampler.draw(processed, rows)
        going: list[_Next] = []
        for job in jobs:
            places, job.places = job.places, []
            mine, pieces = job.choosing.step(logits[places], processed[places], [drawn[place] for place in places])
            going += [_Next(job, places[source], token) for source, token in mine]
            job.closed = not mine
            job.tell(pieces)
        return going

    def _settle(self, going: Sequence[_Next]) -> None:
        """Make the rows that go on the batch, moving as few as possible."""
        places = arrange([one.source for one in going])
        sources, self._tokens = [0] * len(going), [0] * len(going)
        for job in self._running:
            job.places = []
        for one, place in zip(going, places, strict=True):
            sources[place], self._tokens[place] = one.source, one.token
            one.job.places.append(place)
        self._state.move(sources)
        self._running = [job for job in self._running if job.places]


def arrange(sources: Sequence[int]) -> list[int]:
    """New places, from 0 on, for copies of the rows ``sources``: a row stays where it is if that is still a place.

    >>> arrange([3, 1, 1])
    [0, 1, 2]
    """
    free = dict.fromkeys(range(len(sources)))
    stays = [source if free.pop(source, 0) is None else None for source in sources]
    rest = iter(free)
    return [next(rest) if place is None else place for place in stays]


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    requests: GenerationRequest | Sequence[GenerationRequest] | None = None,
    **options: Any,
) -> list[list[Generated]]:
    """Answer prompts together.

    Args:
        model: see ``Scheduler``.
        tokenizer: see ``Scheduler``.
        prompts: token ids of each.
        requests: parameters of all, or of each.
        options: of ``Scheduler``.

    Returns:
        For each prompt its ``n`` answers, best first where they are ranked.

    Raises:
        UsageError: before anything is generated, if any request cannot be answered.
    """
    each = requests if isinstance(requests, Sequence) else [requests or GenerationRequest()] * len(prompts)
    scheduler = Scheduler(model, tokenizer, **options)
    jobs: dict[int, Job] = {}
    for number in sorted(range(len(prompts)), key=lambda number: -len(prompts[number])):  # like lengths side by side
        jobs[number] = scheduler.submit(prompts[number], each[number])
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


def _starts(sizes: Sequence[int]) -> list[int]:
    return [sum(sizes[:number]) for number in range(len(sizes))]
