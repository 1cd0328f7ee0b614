"""The end of a run, tried: the model is saved, loaded again, scored and reported, on a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith import predict, report
from tunesmith.metrics import Counted, Predictions
from tunesmith.planning import pace
from tunesmith.planning.model import Part, Span
from tunesmith.planning.pace import Pace
from tunesmith.train import run
from tunesmith.train.describe import describe
from tunesmith.train.job import Course
from tunesmith.train.learner import Learner
from tunesmith.writing.generating import GeneratingTask

_SCALED = 0.2
_ROWS_AT_ONCE = 16
_TRIED_TOKENS = 8
_UNLIMITED_TOKENS = 256
_MOST_REPORTED = 2000


@dataclass(frozen=True)
class Few:
    """A learner that sees few validation rows.

    Args:
        learned: with these rows.
        whole: all rows of each split.
        forward: seconds for each padded token of a pass without gradient.
        forward_s: seconds that one over the few rows takes.
        padded: padded tokens of one over all validation rows.
        reported_padded: those of one over the rows of the report, if they are like the validation rows.
    """

    learned: Learner
    whole: Mapping[str, pa.Table]
    forward: Pace
    forward_s: float
    padded: float
    reported_padded: float

    @property
    def split(self) -> str:
        """The rows that the report is about."""
        return "test" if "test" in self.whole else "validation"

    @property
    def reported(self) -> pa.Table:
        """These rows."""
        return self.whole[self.split]


@dataclass(frozen=True)
class Ended:
    """The last parts of a run, and the steps in which answers are written, up to 16 a step, for its report."""

    parts: tuple[Part, ...]
    writing_steps: float = 0.0


def ending(few: Few, folder: Path) -> Ended:
    """Try what follows on the training steps, in a folder that holds their log."""
    learned = few.learned
    saved, saving = pace.timed(lambda: run.save(learned, folder))
    validating = few.forward.over(few.padded, _SCALED)
    bundle = Part("bundle saved", Span.sum([Span.of(max(0.0, saving - few.forward_s), _SCALED), validating]))
    model, loading = pace.timed(lambda: predict.load(folder))
    _, replaying = pace.timed(model.replay)
    opened = Part("bundle opened again", Span.of(loading + replaying, _SCALED))
    if isinstance(learned.task, GeneratingTask):
        scored, predictions, steps = _written(few, learned.task, loading)
    else:
        chosen = few.reported.take(_spread(len(few.reported), len(learned.splits.tables["validation"])))
        predictions, seconds = pace.timed(lambda: model.predictions(chosen))
        beside = max(0.0, seconds - few.forward_s * len(chosen) / len(learned.splits.tables["validation"]))
        passes = few.forward.over(few.reported_padded, _SCALED)
        scored = Span.sum([passes, Span.of(beside * len(few.reported) / len(chosen), _SCALED)])
        steps = 0.0
    many = predictions.take(np.resize(np.arange(len(predictions)), min(_MOST_REPORTED, len(few.reported))))
    _, reporting = pace.timed(lambda: _report(learned, saved.target, many, few.split, folder))
    times = len(few.reported) / len(many) if not steps else 1.0
    told = Part("report", Span.of(reporting, _SCALED) * times)
    return Ended((bundle, opened, Part(f"{few.split} rows scored", scored, moves=True), told), steps)


def _written(few: Few, task: GeneratingTask, loading: float) -> tuple[Span, Predictions | Counted, float]:
    """Seconds for the answers of the report, predictions of a few rows, and steps of writing.

    A prompt costs what answers of one token do, and each further token what it adds to answers of some tokens; how many
    a trained model writes is taken from the references, and it may be as many as the request allows.
    """
    rows, learned = few.reported, few.learned
    some = rows.take(_spread(len(rows), _ROWS_AT_ONCE))
    _, first = pace.timed(lambda: _judged(learned, some, 1))
    predictions, more = pace.timed(lambda: _judged(learned, some, 1 + _TRIED_TOKENS))
    prompt, token = first / len(some), max(0.0, more - first) / _TRIED_TOKENS / len(some)
    longest = float(learned.request.max_tokens or _UNLIMITED_TOKENS)
    likely = min(longest, _reference_tokens(task, some, learned.tokenizer))
    answered = len(task.answered(len(rows)))
    untuned = len(task.also_untuned(len(rows), learned.config.model.base)[0])

    def seconds(count: int, tokens: float) -> float:
        return count * (prompt + tokens * token)

    parts = [Span(seconds(answered, likely), seconds(answered, likely / 2), seconds(answered, longest))]
    if untuned:
        expected = loading + seconds(untuned, (likely + longest) / 2)
        parts.append(Span(expected, loading + seconds(untuned, likely / 2), loading + seconds(untuned, longest)))
    if task.keeps_unanswered:
        parts.append(few.forward.over(few.reported_padded, _SCALED))
    return Span.sum(parts), predictions, (answered + untuned) * likely / _ROWS_AT_ONCE


def _judged(learned: Learner, rows: pa.Table, tokens: int) -> Predictions | Counted:
    """What the model writes for some rows in exactly so many tokens."""
    import tempfile

    asked: Any = learned.request.model_copy(update={"max_tokens": tokens, "min_tokens": 0, "ignore_eos": True})
    with tempfile.TemporaryDirectory() as folder:
        return learned.task.judge(learned.reader(learned.target), rows, asked, Path(folder))


def _reference_tokens(task: GeneratingTask, rows: pa.Table, tokenizer: Any) -> float:
    """Mean tokens of the first reference of each row, with the token that ends it."""
    texts = [references[0] for references in task.references(rows) if references]
    return 1 + float(np.mean([len(tokenizer(text)["input_ids"]) for text in texts])) if texts else 1.0


def _report(learned: Learner, target: Any, predictions: Predictions | Counted, split: str, folder: Path) -> None:
    written = describe(learned, target, predictions, split, Course(), folder, seconds=0.0)
    report.write(written, predictions, folder)


def _spread(count: int, most: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, most)).astype(int)
