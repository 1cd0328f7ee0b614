"""Answers of tasks that write: all settings of some rows in one batch, each answer with the seed of its row.

The seed of an answer follows from the study's seed, the row and the number of the answer, never from the setting
(common random numbers), so that settings differ by what they are and not by luck. Some rows with all their settings are
a unit, which begins with an empty batch: its numbers do not depend on what was answered before, and a study that was
killed goes on with the very answers that it would have had.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith import requested
from tunesmith.generation.honours import Case, refused
from tunesmith.generation.request import GenerationRequest
from tunesmith.sweeping.design import Setting
from tunesmith.sweeping.samples import Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.generation.answers import Generated
    from tunesmith.predict import Model

_ROWS = 32
_WORST_FIRST = ("error", "cancelled", "length", "stop")


def seed_of(seed: int, row: int, sample: int) -> int:
    """The seed of an answer, in [0, 2**63)."""
    return int(np.random.SeedSequence([seed, row, sample]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def draws(request: Any) -> bool:
    """Whether another seed could make another answer."""
    return not request.greedy and request.num_beams == 1


def answers_of(request: Any, samples: int) -> int:
    """How many answers a setting gives to a row: one where nothing is drawn."""
    return samples if draws(request) else 1


@dataclass(frozen=True)
class _Asked:
    """One prompt of a row, for one answer of a setting."""

    setting: int
    row: int
    sample: int
    prompt: list[int]
    request: GenerationRequest


class Writer:
    """A model that is asked in units.

    Args:
        model: the bundle with its engine.
        seed: of the study.
        samples: answers to each row where they are drawn.
    """

    def __init__(self, model: Model, seed: int, samples: int) -> None:
        self._model, self._seed, self._samples = model, seed, samples

    def unit(self, table: pa.Table, rows: Sequence[int], runs: Sequence[Setting]) -> list[Sample]:
        """The answers of settings to some rows.

        Args:
            table: canonical rows.
            rows: numbers of those that are answered.
            runs: the settings.

        Raises:
            UsageError: a request cannot be answered.
        """
        asked = self._asked(table.take(list(rows)), rows, runs)
        network = self._model.engine.network
        found = self._together(asked) if network is not None else self._by_setting(asked)
        parts: dict[tuple[int, int, int], list[tuple[Generated, float]]] = {}
        for one, answer in zip(asked, found, strict=True):
            parts.setdefault((one.setting, one.row, one.sample), []).append(answer)
        return [_sample(*place, windows) for place, windows in parts.items()]

    def _asked(self, table: pa.Table, rows: Sequence[int], runs: Sequence[Setting]) -> list[_Asked]:
        """Every prompt, those of a row side by side, so that it is read once."""
        task: Any = self._model.task
        found: list[tuple[int, _Asked]] = []
        readings: dict[str, Any] = {}
        with self._model.reading() as folder:
            for run in runs:
                reading = requested.reading(self._model.reader.reading, run.request)
                if (key := repr(reading)) not in readings:
                    place = folder / str(len(readings))
                    readings[key] = task.encode(table, self._model.tokenizer, reading, place)
                examples = readings[key]
                prompts, owners = examples.prompts(), examples.rows.tolist()
                each = task.asked_of(self._model.reader, prompts, run.request, owners)
                found += [
                    (owner, self._one(run, rows[owner], sample, prompt, request))
                    for prompt, request, owner in zip(prompts, each, owners, strict=True)
                    for sample in range(answers_of(run.request, self._samples))
                ]
        return [one for _, one in sorted(found, key=lambda pair: pair[0])]

    def _one(self, run: Setting, row: int, sample: int, prompt: list[int], request: GenerationRequest) -> _Asked:
        seeded = request.model_copy(update={"seed": seed_of(self._seed, row, sample)})
        if not self.seeds(seeded):
            seeded = request
        return _Asked(run.number, row, sample, prompt, seeded)

    def seeds(self, request: GenerationRequest) -> bool:
        """Whether the engine draws by the seed that it is given."""
        case = Case(request, self._model.engine.facts)
        return all(name != "seed" for name, _ in refused(self._model.engine.honours, case))

    def _together(self, asked: Sequence[_Asked]) -> list[tuple[Generated, float]]:
        """In one batch, a place for each as soon as there is one."""
        from tunesmith.generation.decode import Job, Scheduler

        engine: Any = self._model.engine
        most = max(_ROWS, *(one.request.rows for one in asked))
        scheduler = Scheduler(engine.network.eval().backbone.model, self._model.tokenizer, max_rows=most)
        start = engine.facts.start if engine.facts.has_encoder else None
        waiting = list(enumerate(asked))[::-1]
        running: list[tuple[int, Job, float]] = []
        found: dict[int, tuple[Generated, float]] = {}
        while waiting or running:
            rows = sum(job.rows for _, job, _ in running)
            while waiting and rows + waiting[-1][1].request.rows <= most:
                number, one = waiting.pop()
                running.append((number, scheduler.submit(one.prompt, one.request, start=start), time.monotonic()))
                rows += one.request.rows
            scheduler.step()
            now = time.monotonic()
            found |= {number: (job.results[0], now - began) for number, job, began in running if job.done}
            running = [each for each in running if not each[1].done]
        return [found[number] for number in range(len(asked))]

    def _by_setting(self, asked: Sequence[_Asked]) -> list[tuple[Generated, float]]:
        """By an engine that has no batch of ours: a call for each setting, whose time its answers share."""
        groups: dict[int, list[int]] = {}
        for number, one in enumerate(asked):
            groups.setdefault(one.setting, []).append(number)
        found: dict[int, tuple[Generated, float]] = {}
        for numbers in groups.values():
            began = time.monotonic()
            prompts, requests = [asked[n].prompt for n in numbers], [asked[n].request for n in numbers]
            answers = self._model.engine.generate(prompts, requests, self._model.tokenizer)
            seconds = (time.monotonic() - began) / len(numbers)
            found |= {number: (one[0], seconds) for number, one in zip(numbers, answers, strict=True)}
        return [found[number] for number in range(len(asked))]


def _sample(setting: int, row: int, sample: int, windows: Sequence[tuple[Generated, float]]) -> Sample:
    """An answer, of the windows that a long row was read in."""
    parts = [answer for answer, _ in windows]
    return Sample(
        setting,
        row,
        sample,
        text="\n".join(part.text.strip() for part in parts),
        tokens=sum(part.token_count for part in parts),
        finish_reason=min((part.finish_reason for part in parts), key=_WORST_FIRST.index),
        seconds=round(max(seconds for _, seconds in windows), 4),
    )
