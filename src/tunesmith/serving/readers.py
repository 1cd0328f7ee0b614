"""Answers of models that do not write, and of engines that write whole answers only: batch by batch, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.serving import pieces, refusal
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.pieces import Whole
from tunesmith.serving.worker import Load, Worker, is_over
from tunesmith.writing import raw

if TYPE_CHECKING:
    from tunesmith.predict import Model
    from tunesmith.tasks.base import Scored

_TURN_TOKENS = 512
"""On a processor; longer passes are no faster there, and what arrives meanwhile waits for them."""


class Reader(Worker):
    """Takes what waits together, as much as a batch may hold, and answers it turn by turn.

    There is room for a turn of small requests beside large ones that fill the batch, which else they would wait for.

    Args:
        options: of ``Worker``.
        batch_tokens: about how many tokens a batch may have.
        wait_s: how long the first of a batch waits for others.
    """

    def __init__(self, *options: Any, batch_tokens: int, wait_s: float) -> None:
        super().__init__(*options)
        self._batch_tokens, self._wait_s = batch_tokens, wait_s
        self._now: list[Whole] = []
        self._running = 0

    @property
    def load(self) -> Load:
        """Inputs that wait, and those of the batch."""
        return Load(len(self.queue), self._running)

    def work(self, built: Mapping[str, Model]) -> None:
        """Take what there is room for, and answer a turn of it."""
        turn = self._turn_tokens(built)
        for asked in self._taken(turn):
            asked.start()
            self._now.append(Whole(asked))
        if not self._now:
            return self.pause()
        self._running = sum(whole.asked.inputs for whole in self._now)
        alike: dict[Any, list[Asked]] = {}
        for asked in pieces.turn(self._now, turn):
            kind = (asked.model, asked.rows is None, asked.request.model_dump_json())
            alike.setdefault(kind, []).append(asked)
        for group in alike.values():
            self._answer(built[group[0].model], group)
        self._end_late()
        self._now = [whole for whole in self._now if not whole.is_over]
        self._running = sum(whole.asked.inputs for whole in self._now)
        return None

    def begun(self) -> list[Asked]:
        """What is being read, as far as it is not answered."""
        left = [whole.asked for whole in self._now if whole.asked.times.ended is None]
        self._now, self._running = [], 0
        return left

    def _turn_tokens(self, built: Mapping[str, Model]) -> int:
        """How much is read at once: all that a batch holds on a GPU, and where texts are written."""
        model = next(iter(built.values()))
        device = getattr(getattr(model.engine, "machine", None), "device", "cpu")
        return self._batch_tokens if device != "cpu" or model.task.writes else min(_TURN_TOKENS, self._batch_tokens)

    def _end_late(self) -> None:
        """Refuse what is read in part and has taken as long as it may."""
        for whole in self._now:
            if not whole.is_over and is_over(whole.asked):
                whole.asked.end(refusal.late(own_time=whole.asked.own_time))

    def _taken(self, turn: int) -> list[Asked]:
        """What is next: up to a batch's tokens together with what is being read, and a turn's of small requests."""
        found: list[Asked] = []
        left = self._batch_tokens - sum(whole.left for whole in self._now)
        small = pieces.small(turn)
        small_left = turn - sum(whole.left for whole in self._now if whole.asked.size <= small)
        until: float | None = None
        while (left > 0 or (small_left > 0 and len(self.queue))) and not any(whole.asked.tries for whole in self._now):
            begun = bool(found or self._now)
            asked = self.queue.take(left if begun else None, small=min(small, small_left), beside=begun)
            if asked is not None:
                found.append(asked)
                if asked.tries:
                    break
                left -= asked.size
                small_left -= asked.size if asked.size <= small else 0
                until = until or time.monotonic() + self._wait_s
            elif (
                found
                and not self._now
                and until is not None
                and (rest := until - time.monotonic()) > 0
                and not len(self.queue)
            ):
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
