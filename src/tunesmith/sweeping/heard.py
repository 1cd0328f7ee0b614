"""Answers of a task that reads, as a server gave them: beside the truth, each setting as often as ``judging.Reads`` would judge it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.decisions import heard
from tunesmith.errors import UsageError
from tunesmith.sweeping.design import Setting
from tunesmith.sweeping.judging import Judged, shown
from tunesmith.sweeping.samples import Kept
from tunesmith.tasks.base import Scored

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.predict import Model


@dataclass(frozen=True)
class Heard:
    """What was answered to some rows.

    Args:
        model: the bundle here, which knows the task.
        table: canonical rows.
        kept: the answers.
    """

    model: Model
    table: pa.Table
    kept: Kept

    def judged(self, run: Setting, rows: Sequence[int]) -> Judged:
        """A setting's answers to rows beside the truth.

        Raises:
            UsageError: they do not say enough.
        """
        model, some = self.model, self.table.take(list(rows))
        answers = [json.loads(self.kept.of(run.number, row)[0].text) for row in rows]
        target = model.task.asked(model.target, run.request)
        with model.reading() as folder:
            examples = model.task.encode(some, model.tokenizer, model.reader.reading, folder)
            scored = Scored(some, examples, (), model.task.inputs)
            try:
                predictions: Any = heard.predictions(model.task, answers, scored, target)
            except (KeyError, TypeError, IndexError):
                raise UsageError("the server's answers have another form than its task's") from None
        return Judged(predictions, 1, {}, shown(predictions))
