"""Prompts on their way into the batch: which of them are read together, which wait, what of them is known already.

Prompts are read in pieces, so that the rows that run go on meanwhile, and several may be in the reading: fresh ones and
those begun before take turns, so that a short prompt does not wait for the end of a long one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakSet

from torch import Tensor

from tunesmith.generation.job import Job
from tunesmith.generation.lora import Lora
from tunesmith.generation.network import Network, State, left_padded
from tunesmith.generation.store import PrefixStore

# A pass over a model's weights takes about as long as computing so many tokens; fewer of them are not worth one of their own.
_PASS_TOKENS = {"cpu": 16}
_PASS_TOKENS_ELSEWHERE = 256


@dataclass(eq=False)
class Reading:
    """Jobs whose prompts are being read together.

    tokens: the last ones of each prompt, left-padded (jobs, columns), of which ``done`` are read. keys: beginnings that
    are being read, by which others wait for them.
    """

    jobs: list[Job]
    state: State
    tokens: Tensor
    keys: frozenset[Hashable]
    done: int = 0

    @property
    def is_over(self) -> bool:
        """Whether all is read."""
        return self.done >= self.tokens.shape[1]

    def drop(self) -> None:
        """Let go of the rows of jobs that are done."""
        open_ = [number for number, job in enumerate(self.jobs) if not job.done]
        if 0 < len(open_) < len(self.jobs):
            self.state.move(open_)
            self.tokens = self.tokens[open_]
        self.jobs = [self.jobs[number] for number in open_]


class Prompts:
    """Requests whose rows are not part of the batch yet.

    Args:
        network: that reads.
        store: what it remembers of what it read.
        prefill_tokens: most tokens of prompts that are read together.
    """

    def __init__(self, network: Network, store: PrefixStore, prefill_tokens: int) -> None:
        self._network, self._store, self._most = network, store, prefill_tokens
        self.pass_tokens = _PASS_TOKENS.get(network.device.type, _PASS_TOKENS_ELSEWHERE)
        self.waiting: deque[Job] = deque()
        self.readings: deque[Reading] = deque()
        self._fresh_last = False
        self._forgotten: WeakSet[Lora] = WeakSet()

    @property
    def jobs(self) -> list[Job]:
        """Jobs that are being read."""
        return [job for reading in self.readings for job in reading.jobs]

    def drop(self, job: Job) -> None:
        """Let go of a job that is done."""
        if job in self.waiting:
            self.waiting.remove(job)
        for reading in self.readings:
            if job in reading.jobs:
                reading.drop()
        self.readings = deque(reading for reading in self.readings if reading.jobs)

    def next(self, free: int) -> Reading | None:
        """What is to be read next, where so many rows are free; begun and fresh ones take turns."""
        self._fresh_last = not (self._fresh_last and self.readings)
        if self._fresh_last and (jobs := self._admitted(free)):
            self.readings.appendleft(self._begun(jobs))
        return self.readings[0] if self.readings else None

    def turn(self) -> None:
        """Put the first reading behind the others, or away if it is over."""
        first = self.readings.popleft()
        if not first.is_over:
            self.readings.append(first)

    def keep(self, job: Job, state: State, row: int, tokens: Sequence[int]) -> None:
        """Remember what a row has read."""
        if not self._network.has_encoder and self._remembers(job):
            self._store.keep(tokens, partial(state.own.states, row), job.lora)

    def forget(self, lora: Lora) -> None:
        """Remember nothing more of an update."""
        self._store.forget(lora)
        self._forgotten.add(lora)

    def _admitted(self, free: int) -> list[Job]:
        """Waiting jobs that are to be read together: first come, first served, but what another is just reading is waited for."""
        jobs: list[Job] = []
        keys = {key for reading in self.readings for key in reading.keys}
        longest = 0
        for job in self.waiting:
            key = self._unread_key(job)
            if key is not None and key in keys:
                continue
            rest = self._unread(job)
            alone = job.scores_prompt or self._network.alone
            if job.rows > free or (jobs and (alone or not self._suits(rest, longest, len(jobs)))):
                break
            jobs.append(job)
            free -= job.rows
            longest = max(longest, rest)
            keys |= {key} - {None}
            if alone:
                break
        for job in jobs:
            self.waiting.remove(job)
        return jobs

    def _suits(self, rest: int, longest: int, count: int) -> bool:
        """Whether so many tokens are better read with others than apart: all rows of a pass have the columns of the longest."""
        columns = max(rest, longest)
        padding = columns * (count + 1) - longest * count - rest
        return columns * (count + 1) <= self._most and padding <= self.pass_tokens

    def _reuses(self, job: Job) -> bool:
        return self._remembers(job) and not job.scores_prompt

    def _remembers(self, job: Job) -> bool:
        return self._store.is_on and (job.lora is None or job.lora not in self._forgotten)

    def _unread_key(self, job: Job) -> Hashable | None:
        """What others that begin alike would read too; None if there is nothing, or nothing that would be remembered."""
        plan = job.plan
        if not self._reuses(job):
            return None
        if self._network.has_encoder:
            return None if self._store.source(plan.source, job.lora) is not None else (job.lora, plan.source)
        return self._store.next_key(plan.prompt, job.lora) if self._store.is_useful else None

    def _unread(self, job: Job) -> int:
        """Tokens that must be read: at least the last one, whose logits are needed."""
        plan = job.plan
        if self._network.has_encoder:
            known = self._reuses(job) and self._store.source(plan.source, job.lora) is not None
            return len(plan.prompt) if known else len(plan.source)
        known_tokens = self._store.known(plan.prompt, job.lora) if self._reuses(job) else 0
        return len(plan.prompt) - min(known_tokens, len(plan.prompt) - 1)

    def _begun(self, jobs: list[Job]) -> Reading:
        """A reading of these jobs. Each row is fed the same columns: of what is known, as much is used as is then left over."""
        prompts, loras = [job.plan.prompt for job in jobs], [job.lora for job in jobs]
        keys = frozenset(key for key in map(self._unread_key, jobs) if key is not None)
        if self._network.has_encoder:
            state = self._network.start(prompts, self._sources(jobs), loras=loras)
            return Reading(jobs, state, left_padded(prompts), keys)
        unread = max(map(self._unread, jobs))
        known = [
            self._store.states(prompt, lora) if len(prompt) > unread else []
            for prompt, lora in zip(prompts, loras, strict=True)
        ]
        for job in jobs:
            job.reused = max(0, len(job.plan.prompt) - unread)
        state = self._network.start(prompts, loras=loras, unread=unread, known=known)
        return Reading(jobs, state, left_padded([prompt[-unread:] for prompt in prompts]), keys)

    def _sources(self, jobs: Sequence[Job]) -> list[Tensor]:
        """What the encoder makes of each source text, or made of it before."""
        found = [self._store.source(job.plan.source, job.lora) for job in jobs]
        fresh = [job for job, known in zip(jobs, found, strict=True) if known is None]
        made = self._network.encode([job.plan.source for job in fresh], [job.lora for job in fresh]) if fresh else []
        for job, states in zip(fresh, made, strict=True):
            if self._remembers(job):
                self._store.keep_source(job.plan.source, states, job.lora)
        rest = iter(made)
        for job, known in zip(jobs, found, strict=True):
            job.reused = 0 if known is None else len(job.plan.source)
        return [next(rest) if known is None else known for known in found]
