"""The rows that go on together, a token of each at every step: they join when their prompts are read, and leave as they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tunesmith.generation import sampler
from tunesmith.generation.choosing import Beams, Choices
from tunesmith.generation.job import Job
from tunesmith.generation.network import Network, State
from tunesmith.generation.reading import Reading
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.sampler import Row

_NO_NUMBERS = "the model's numbers for what comes next are not finite"

Keep = Callable[[Job, State, int, Sequence[int]], None]
"""Remembers that a row of a state has read some tokens."""


@dataclass(frozen=True)
class _Next:
    """A row that goes on: of which job, from which row, with which token."""

    job: Job
    source: int
    token: int


class Batch:
    """Rows of jobs.

    Args:
        network: that they are fed to.
        keep: hears of what prompts and finished rows have read.
    """

    def __init__(self, network: Network, keep: Keep) -> None:
        self._network, self._keep = network, keep
        self.running: list[Job] = []
        self.state = network.empty()
        self._tokens: list[int] = []  # the last token of each row, which the network has not read yet
        self.generated = 0

    def rest(self) -> None:
        """Where no row is left, give up the room that the rows had."""
        if not self.running:
            self.state = self._network.empty()

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self._tokens)

    def go_on(self) -> list[Job]:
        """Feed every row its last token and choose the next ones; return the jobs that did."""
        if not self.running:
            return []
        jobs = self.running
        logits = self._network.feed(self.state, torch.tensor(self._tokens)[:, None])
        sound = _sound(jobs, logits, self.state)
        before = [
            (job, place, row)
            for job in sound
            if isinstance(job.choosing, Choices)
            for place, row in zip(job.places, job.choosing.rows, strict=True)
        ]
        going = self._choose(sound, logits)
        left = {place for _, place, _ in before} - {one.source for one in going}
        for job, place, row in before:
            if place in left:
                count = self.state.own.end - self.state.own.starts[place]
                self._keep(job, self.state, place, row.history[:count])
        self._settle(going)
        return jobs

    def join(self, reading: Reading, logits: Tensor) -> list[Job]:
        """Choose the first tokens of rows whose prompts are read, and make them part of the batch; return their jobs."""
        for number, job in enumerate(reading.jobs):
            job.places = [number]
        for job in _sound(reading.jobs, logits, reading.state):
            self._keep(job, reading.state, job.places[0], job.plan.prompt)
            if job.plan.terms.limit == 0:
                job.close("length")
        jobs = [job for job in reading.jobs if not job.done]
        sources = [job.places[0] for job in jobs for _ in job.choosing.rows]
        place = 0
        for job in jobs:
            job.places = list(range(place, place + len(job.choosing.rows)))
            place += len(job.places)
        going = self._choose(jobs, logits[sources]) if jobs else []
        if going:
            self.state.join(reading.state, [sources[one.source] for one in going])
        for one in going:
            one.job.places.append(len(self._tokens))
            self._tokens.append(one.token)
        self.running = [*self.running, *(job for job in jobs if job.places)]
        return reading.jobs

    def leave(self, gone: Job) -> None:
        """Take the rows of a job out."""
        if gone in self.running:
            stay = [job for job in self.running if job is not gone]
            self._settle([_Next(job, place, self._tokens[place]) for job in stay for place in job.places])

    def _choose(self, jobs: Sequence[Job], logits: Tensor) -> list[_Next]:
        """Let each job choose how its rows go on. Afterwards its places are empty, for what follows to fill."""
        rows: list[Row] = [Row(GenerationRequest(), ())] * len(logits)
        scored = logits
        for job in jobs:
            self.generated += len(job.places)
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
        for job in self.running:
            job.places = []
        for one, place in zip(going, places, strict=True):
            sources[place], self._tokens[place] = one.source, one.token
            one.job.places.append(place)
        self.state.move(sources)
        self.running = [job for job in self.running if job.places]


def _sound(jobs: Sequence[Job], logits: Tensor, state: State) -> list[Job]:
    """The jobs whose rows' logits are numbers; the others end here, and nothing of them stays in the state."""
    finite = logits.amax(1).isfinite().tolist()
    if all(finite):
        return list(jobs)
    for job in jobs:
        if not all(finite[place] for place in job.places):
            whose = f", with adapter '{job.lora.name}'" if job.lora is not None else ""
            job.fail(_NO_NUMBERS + whose)
            state.clean(job.places)
            job.places = []
    return [job for job in jobs if not job.done]


def arrange(sources: Sequence[int]) -> list[int]:
    """New places, from 0 on, for copies of the rows ``sources``: a row stays where it is if that is still a place.

    >>> arrange([3, 1, 1])
    [0, 1, 2]
    """
    free = dict.fromkeys(range(len(sources)))
    stays = [source if free.pop(source, 0) is None else None for source in sources]
    rest = iter(free)
    return [next(rest) if place is None else place for place in stays]
