"""Answers of models that do not write, and of engines that write whole answers only: batch by batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.serving import refusal
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.worker import Load, Worker
from tunesmith.writing import raw

if TYPE_CHECKING:
    from tunesmith.predict import Model
    from tunesmith.tasks.base import Scored


class Reader(Worker):
    """Takes what waits together, as much as a batch may hold, and answers it.

    Args:
        options: of ``Worker``.
        batch_tokens: about how many tokens a batch may have.
        wait_s: how long the first of a batch waits for others.
    """

    def __init__(self, *options: Any, batch_tokens: int, wait_s: float) -> None:
        super().__init__(*options)
        self._batch_tokens, self._wait_s = batch_tokens, wait_s
        self._now: list[Asked] = []
        self._running = 0

    @property
    def load(self) -> Load:
        """Inputs that wait, and those of the batch."""
        return Load(len(self.queue), self._running)

    def work(self, built: Mapping[str, Model]) -> None:
        """Answer a batch."""
        self._now = self._taken()
        if not self._now:
            return self.pause()
        self._running = sum(asked.inputs for asked in self._now)
        for asked in self._now:
            asked.start()
        alike: dict[Any, list[Asked]] = {}
        for asked in self._now:
            kind = (asked.model, asked.rows is None, asked.request.model_dump_json())
            alike.setdefault(kind, []).append(asked)
        for group in alike.values():
            self._answer(built[group[0].model], group)
        self._now, self._running = [], 0
        return None

    def begun(self) -> list[Asked]:
        """The batch, as far as it is not answered."""
        left, self._now, self._running = [asked for asked in self._now if asked.times.ended is None], [], 0
        return left

    def _taken(self) -> list[Asked]:
        """What is next, up to a batch's tokens."""
        found: list[Asked] = []
        left = self._batch_tokens
        until: float | None = None
        while left > 0:
            asked = self.queue.take(left if found else None, beside=bool(found))
            if asked is not None:
                found.append(asked)
                if asked.tries:
                    break
                left -= asked.size
                until = until or time.monotonic() + self._wait_s
            elif found and until is not None and (rest := until - time.monotonic()) > 0 and not len(self.queue):
                self.queue.wait(rest)
            else:
                break
        return found

    def _answer(self, model: Model, group: Sequence[Asked]) -> None:
        """Answer what asks a model the same; where they cannot be answered together, one by one."""
        try:
            answered = self._read(model, group)
        except Exception as error:
            if len(group) > 1:
                for asked in group:
                    self._answer(model, [asked])
                return
            if not isinstance(error, (TunesmithError, MemoryError)):
                raise
            wrong = error if isinstance(error, TunesmithError) else refusal.failed("the engine has too little memory")
            group[0].end(wrong)
            return
        for asked, outcome in zip(group, answered, strict=True):
            asked.end(outcome)

    def _read(self, model: Model, group: Sequence[Asked]) -> list[Answered]:
        import pyarrow as pa

        if group[0].rows is None:
            return [_gone_on(model, asked) for asked in group]
        rows = pa.concat_tables([asked.rows for asked in group])
        with model.reading() as folder:
            scored = model.read(rows, group[0].request, folder)
        answers = model.told(scored, group[0].request)
        found, place = [], 0
        for asked in group:
            own = slice(place, place + asked.inputs)
            found.append(_answered(scored, answers, own))
            place += asked.inputs
        return found


def _gone_on(model: Model, asked: Asked) -> Answered:
    """What comes after texts as they are."""
    task: Any = model.task
    found = raw.go_on(task, model.reader, asked.prompts, asked.request)
    read = sum(choices[0].terms.prompt_tokens for choices in found)
    written = sum(one.token_count for choices in found for one in choices)
    return Answered([], [[choices] for choices in found], read, written)


def _answered(scored: Scored, answers: list[dict[str, Any]], own: slice) -> Answered:
    """The part of some inputs."""
    parts = [getattr(one, "parts", ()) for one in list(scored.scores)[own]]
    read = sum(choices[0].terms.prompt_tokens for windows in parts for choices in windows)
    if not any(parts):
        read = int(scored.examples.text_lengths[own].sum())
    written = sum(one.token_count for windows in parts for choices in windows for one in choices)
    return Answered(answers[own], parts if any(parts) else (), read, written)
