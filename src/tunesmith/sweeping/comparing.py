"""Rows being answered: by every setting, or by those that are still in the race; and at last those that were held out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith import bundle as bundles
from tunesmith.errors import UsageError
from tunesmith.sweeping import analysis, asking, judging, race, validity
from tunesmith.sweeping.asking import Asker
from tunesmith.sweeping.design import Setting
from tunesmith.sweeping.heard import Heard
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.samples import FILE, Kept
from tunesmith.sweeping.study import Answered, Rows, Study
from tunesmith.sweeping.writing import Writer, answers_of

if TYPE_CHECKING:
    import pyarrow as pa

_UNIT_ANSWERS = 256


def writer_of(study: Study) -> Writer | Asker:
    """What answers: the model here, or a server."""
    made = Asker if isinstance(study.model.engine, asking.Engine) else Writer
    return made(study.model, study.settings.seed, study.settings.samples)


def read(study: Study, table: pa.Table, rows: Rows) -> Answered:
    """A task that reads: every setting on every row, which costs little once the outputs are there."""
    taken = [*rows.compared, *rows.held_out]
    compared, held_out = np.split(np.arange(len(taken)), [len(rows.compared)])
    reads = judging.Reads(study.model, table.take(taken))
    whole = {run.number: reads.judged(run) for run in study.design.runs}
    judged = {number: judging.places(one, compared) for number, one in whole.items()}
    best = analysis.best(study.design, judged, study.metric, study.sign, [])
    run = study.design.settings[best].run
    held = {number: judging.places(whole[number], held_out) for number in {0, run}}
    notes = list(dict.fromkeys(note for one in study.design.runs for note in reads.idle(one)))
    _keep_answers(study, whole, taken)
    return Answered(rows, judged, [], best, held, len(taken) * len(whole), notes)


def written(study: Study, table: pa.Table, rows: Rows, began: float) -> Answered:
    """A task that writes: rows in blocks, each answered by all settings that are still in the race."""
    kept = Kept(study.folder)
    compared = Compared(study, table, kept, writer_of(study), rows, began)
    done = compared.go()
    judged = {run.number: compared.judged(run, done[run.number]) for run in study.design.runs}
    dropped = [number for number in done if number not in compared.alive]
    best = analysis.best(study.design, judged, study.metric, study.sign, dropped)
    finalists = [one for one in study.design.runs if one.number in {0, study.design.settings[best].run}]
    compared.answer(rows.held_out, finalists)
    held = {one.number: compared.judge(one, rows.held_out) for one in finalists}
    return Answered(rows, judged, dropped, best, held, len(kept), compared.notes)


def all_of(study: Study, table: pa.Table, rows: list[int], began: float) -> tuple[dict[int, Judged], dict[int, str]]:
    """Every run's answers to some rows, without race and without end; and of the runs that a server refuses, why."""
    if not study.model.task.writes and not isinstance(study.model.engine, asking.Engine):
        reads = judging.Reads(study.model, table.take(rows))
        return {run.number: reads.judged(run) for run in study.design.runs}, {}
    compared = Compared(study, table, Kept(study.folder), writer_of(study), Rows(rows, []), began)
    return compared.go_through(rows)


class Compared:
    """The rows that settings are compared on, being answered."""

    def __init__(
        self, study: Study, table: pa.Table, kept: Kept, writer: Writer | Asker, rows: Rows, began: float
    ) -> None:
        self._study, self._table, self._kept, self._writer = study, table, kept, writer
        self._rows, self._began = rows, began
        self._runs = {run.number: run for run in study.design.runs}
        self._forms = validity.forms(study.design, study.settings)
        self.alive = list(self._runs)
        self.notes: list[str] = []
        self._answers, self._seconds = 0, 0.0
        self._defaults_rows = self._aside = 0

    def go(self) -> dict[int, int]:
        """Answer rows until all are answered, one setting is left, or the time is over; how many each run has."""
        racing = self._study.settings.design == "race"
        total, done = len(self._rows.compared), 0
        looks = self._looks(total) if racing else (race.Look(total, len(self.alive)),)
        if racing and len(looks) == 1 and len(self.alive) > 1:
            self.notes.append(f"{total} rows are too few to drop any of {len(self.alive)} settings on the way")
        counts = dict.fromkeys(self._runs, 0)
        for look in looks:
            while done < look.rows and not self._is_over(done):
                step = min(look.rows - done, self._rows_of_a_unit())
                self.answer(self._rows.compared[done : done + step], [self._runs[number] for number in self.alive])
                done += step
                counts |= dict.fromkeys(self.alive, done)
                self._defaults_rows = counts[0]
                self._study.note(
                    f"{done} of {total} rows, {len(self.alive)} settings, {time.monotonic() - self._began:.0f} s"
                )
            if done < look.rows:
                self.notes.append(f"the budget was spent after {done} of {total} rows")
                break
            if racing and done < total and self._is_decided(look, len(looks)):
                break
        if not done:
            raise UsageError("the budget was spent before any row was answered", where="--budget", hint="raise it")
        self._tell_aside()
        return counts

    def _tell_aside(self) -> None:
        if self._aside:
            self.notes.append(
                f"{self._aside} settings were set aside without being surely worse, as this race gives less than"
                f" {self._study.settings.share:.0%} of the grid's answers; with --share 1 they go on"
            )

    def answer(self, rows: list[int], runs: list[Setting]) -> None:
        """Have settings answer rows, unless all these answers are there.

        Raises:
            UsageError: a server refuses one of them, or is gone.
        """
        self._answer(rows, runs)
        for number, reason in self._refused.items():
            raise UsageError(f"{self._runs[number].words() or 'the defaults'}: {reason}", hint="leave that value out")

    def _answer(self, rows: list[int], runs: list[Setting]) -> None:
        if all(len(self._kept.of(run.number, row)) == self._count(run) for run in runs for row in rows):
            return
        began = time.monotonic()
        found = self._writer.unit(self._table, rows, runs)
        self._kept.add(found)
        self._answers += len(found)
        self._seconds += time.monotonic() - began

    def go_through(self, rows: list[int]) -> tuple[dict[int, Judged], dict[int, str]]:
        """Have all settings answer all rows, a unit at a time: what they answered, and why some were refused."""
        step = self._rows_of_a_unit()
        for done in range(0, len(rows), step):
            self._answer(
                rows[done : done + step], [run for run in self._runs.values() if run.number not in self._refused]
            )
            self._study.note(f"{min(done + step, len(rows))} of {len(rows)} rows")
        judged, refused = {}, dict(self._refused)
        for run in self._runs.values():
            if run.number not in refused:
                try:
                    judged[run.number] = self.judge(run, rows)
                except UsageError as error:
                    refused[run.number] = str(error.headline)
        return judged, refused

    @property
    def _refused(self) -> Mapping[int, str]:
        return self._writer.refused if isinstance(self._writer, Asker) else {}

    def judge(self, run: Setting, rows: list[int]) -> Judged:
        """A run's answers to some rows beside the truth."""
        if not self._study.model.task.writes:
            return Heard(self._study.model, self._table, self._kept).judged(run, rows)
        price, form = self._study.settings.price, self._forms.get(run.number)
        return judging.written(self._study.model, self._table, rows, run, self._kept, price, form)

    def judged(self, run: Setting, count: int) -> Judged:
        """A run's answers to the first rows."""
        return self.judge(run, self._rows.compared[:count])

    def _looks(self, total: int) -> tuple[race.Look, ...]:
        return race.looks(total, len(self.alive), self._study.settings.share)

    def _is_decided(self, look: race.Look, planned: int) -> bool:
        """Drop what is surely worse, and what is beyond the race's share; whether more rows would gain nothing then."""
        metric, sign, done = self._study.metric, self._study.sign, look.rows
        values = {number: sign * self.judged(self._runs[number], done).by_row(metric) for number in self.alive}
        others = len(self._runs) - 1
        going = race.survivors(np.stack(list(values.values())), self.alive, len(self._runs), planned, look.keep)
        self.alive, self._aside = going.alive, self._aside + going.aside
        if len(self.alive) == 1:
            return True
        defaults = float(self.judged(self._runs[0], min(done, self._defaults_rows)).by_row(metric).mean())
        margin = self._study.settings.margin or judging.margin_of(metric, defaults)
        left = np.stack([values[number] for number in self.alive])
        if not race.is_settled(left, margin, race.ALPHA / planned, others):
            return False
        self.notes.append(
            f"the race ended after {done} rows: no setting that was left is better than the best by {margin:g} or more"
        )
        return True

    def _count(self, run: Setting) -> int:
        """How many answers a setting gives to a row."""
        return answers_of(run.request, self._study.settings.samples) if self._study.model.task.writes else 1

    def _rows_of_a_unit(self) -> int:
        each = sum(self._count(self._runs[number]) for number in self.alive)
        return max(1, _UNIT_ANSWERS // each)

    def _is_over(self, done: int) -> bool:
        """Whether the time left is needed for the rows held out."""
        budget = self._study.settings.budget
        if budget is None or not self._answers:
            return False
        pace = self._seconds / self._answers
        last = 2 * len(self._rows.held_out) * self._study.settings.samples * pace
        unit = self._rows_of_a_unit() * len(self.alive) * self._study.settings.samples * pace
        return time.monotonic() - self._began + last + unit > budget


def _keep_answers(study: Study, whole: Mapping[int, Judged], rows: Sequence[int]) -> None:
    """The answers to some rows, for people; they are computed anew where a study goes on."""
    lines = (
        json.dumps({"setting": number, "row": row, "text": text}, ensure_ascii=False) + "\n"
        for number, one in whole.items()
        for row, text in zip(rows, one.shown, strict=True)
    )
    bundles.write_text(study.folder / FILE, "".join(lines))
