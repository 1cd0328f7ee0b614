"""Answers of models that write: everybody's rows go on together, a token at a time, and come and go at every step."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.serving.asked import Answered, Asked, Delta
from tunesmith.serving.queueing import taken_away
from tunesmith.serving.worker import Load, Worker, guarded, is_over
from tunesmith.writing.streaming import Trimmed

if TYPE_CHECKING:
    from tunesmith.generation.answers import Piece
    from tunesmith.generation.decode import Job
    from tunesmith.side_by_side import Put, SideBySide


_OUT_OF_TIME = "cut by the time that the request may take"


@dataclass(eq=False)
class _Going:
    """What is being answered: its jobs, one for each window of each input, and the letters told of each choice."""

    asked: Asked
    jobs: list[Job]
    put: Put | None
    held: ExitStack
    trimmed: dict[int, Trimmed] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """Whether letters are told as they come; not of inputs that are read in windows."""
        return self.asked.stream and len(self.jobs) == self.asked.inputs


class Writer(Worker):
    """Feeds a scheduler with what waits, and tells its news."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self._going: dict[Job, _Going] = {}
        self._next: Asked | None = None
        self._load = Load(0, 0)

    @property
    def load(self) -> Load:
        """Inputs that wait, jobs that are under way, and the share of the rows that are taken."""
        return Load(len(self.queue), self._load.running, self._load.cache)

    def work(self, built: SideBySide) -> None:
        """Take what there is room for, and go on by one token."""
        self._leave(built)
        self._admit(built)
        if built.scheduler.idle:
            self._count(built)
            return self.pause()
        built.scheduler.step()
        for job, going in list(self._going.items()):  # an errand may have stepped it before
            if job.pieces and job in self._going:
                self._tell(going, job)
        self._count(built)
        return None

    def rest(self, built: SideBySide) -> None:
        """Give up the room of rows."""
        built.scheduler.rest()

    def begun(self) -> list[Asked]:
        """What has jobs, or was just about to."""
        going, self._going = list(dict.fromkeys(self._going.values())), {}
        for one in going:
            one.held.close()
        self._load = Load(0, 0)
        found = [one.asked for one in going if one.asked.times.ended is None]
        if self._next is not None:
            found.append(self._next)
            self._next = None
        return found

    def refuse(self, built: SideBySide, name: str) -> None:
        """End what is being answered for a model, in the worker's thread."""
        for one in {going for going in self._going.values() if going.asked.model == name}:
            for job in one.jobs:
                built.scheduler.cancel(job)
            self._forget(one)
            one.asked.end(taken_away())

    def _count(self, built: SideBySide) -> None:
        counts = built.scheduler.counts
        self._load = Load(0, len(self._going), counts.rows / max(1, counts.rows + built.scheduler.free_rows))

    def _admit(self, built: SideBySide) -> None:
        """Begin with as much as finds a place at once: what waits here rather than there can still be overtaken."""
        while built.scheduler.unasked_rows > 0 and not any(one.asked.tries for one in self._going.values()):
            asked = self.queue.take(beside=bool(self._going))
            if asked is None:
                return
            self._next = asked
            asked.start()
            held = ExitStack()
            going = guarded(asked, partial(self._begun, built, asked, held))
            if going is None:
                held.close()
            for job in () if going is None else going.jobs:
                self._going[job] = going
            self._next = None

    def _begun(self, built: SideBySide, asked: Asked, held: ExitStack) -> _Going:
        if asked.model not in built.models:
            raise taken_away()
        if asked.rows is None:
            jobs = built.go_on(asked.model, asked.prompts, asked.request)
            return _Going(asked, jobs, None, held)
        folder = held.enter_context(built.models[asked.model].reading())
        put = built.put(asked.model, asked.rows, asked.request, folder)
        return _Going(asked, put.jobs, put, held)

    def _leave(self, built: SideBySide) -> None:
        """End what nobody waits for, or whose time has passed."""
        for one in {going for going in self._going.values() if is_over(going.asked)}:
            for job in one.jobs:
                if one.asked.cancelled:
                    built.scheduler.cancel(job)
                else:
                    built.scheduler.cancel(job, "length", _OUT_OF_TIME)
            if one.asked.cancelled:
                self._forget(one)
            else:
                self._finish(one)

    def _tell(self, one: _Going, job: Job) -> None:
        """Letters of a stream as they come, and the whole once all jobs are done."""
        self._tell_letters(one, job)
        if all(other.done for other in one.jobs):
            self._finish(one)

    def _tell_letters(self, one: _Going, job: Job) -> None:
        if any(piece.token is not None for piece in job.pieces):
            one.asked.mark(job)
        for piece in job.pieces if one.streams else ():
            delta = self._delta(one, job, piece)
            if delta.text or delta.logprobs:
                one.asked.news(delta)
        job.pieces.clear()

    def _delta(self, one: _Going, job: Job, piece: Piece) -> Delta:
        """Letters that are certain to be in the answer, which has no space around it; a raw continuation keeps it."""
        asked: Any = one.asked.request
        choice = one.jobs.index(job) * asked.n + piece.choice
        known = (piece.logprob,) if piece.logprob is not None and asked.logprobs else ()
        text = piece.text
        if choice not in one.trimmed:
            text, known = job.opening_text + text, (*job.opening, *known)
        own = one.trimmed.setdefault(choice, Trimmed())
        return Delta(choice, text if one.put is None else own.push(text), known)

    def _finish(self, one: _Going) -> None:
        for job in one.jobs:
            self._tell_letters(one, job)
        answered = guarded(one.asked, lambda: _answered(one))
        self._forget(one)
        if answered is not None:
            one.asked.end(answered)

    def _forget(self, one: _Going) -> None:
        one.held.close()
        for job in one.jobs:
            self._going.pop(job, None)


def _answered(one: _Going) -> Answered:
    prompt = sum(job.plan.terms.prompt_tokens for job in one.jobs)
    cached = sum(job.reused for job in one.jobs)
    written = sum(choice.token_count for job in one.jobs for choice in job.results)
    if one.put is None:
        return Answered([], [[job.results] for job in one.jobs], prompt, written, cached)
    scored = one.put.told()
    parts: list[Any] = [own.parts for own in scored.scores]  # type: ignore[union-attr]
    return Answered(one.put.model.told(scored, one.put.request), parts, prompt, written, cached)
