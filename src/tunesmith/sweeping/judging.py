"""Settings' answers beside the truth: what the scores and the other measures of a setting are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith import metrics, requested
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.metrics import Counted, Predictions
from tunesmith.metrics.registry import METRICS
from tunesmith.sweeping import measures
from tunesmith.sweeping.design import Setting
from tunesmith.sweeping.samples import Kept
from tunesmith.tasks.base import Scored

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.predict import Model

Array = NDArray[np.float64]

_OF_THE_TRUTH = ("perplexity",)
"""Metrics of the truth's likelihood, which no request parameter changes."""


@dataclass(frozen=True)
class Judged:
    """A setting's answers to rows beside the truth.

    Args:
        predictions: each row as often as it was answered.
        answers: how often that is.
        measured: ``(rows,)`` of each other measure.
        shown: of each row its first answer, as people read it.
    """

    predictions: Predictions | Counted
    answers: int
    measured: Mapping[str, Array]
    shown: Sequence[str]

    def __len__(self) -> int:
        return len(self.predictions) // self.answers

    def first(self, rows: int) -> Judged:
        """The first rows alone."""
        taken = self.predictions.take(np.arange(rows * self.answers))
        measured = {name: values[:rows] for name, values in self.measured.items()}
        return Judged(taken, self.answers, measured, self.shown[:rows])

    def score(self, metric: str, weights: Array) -> Array:
        """``(draws,)`` the metric of ``(draws, rows)`` weighted rows."""
        return metrics.score_weighted(self.predictions, metric, np.repeat(weights, self.answers, axis=1))

    def by_row(self, metric: str) -> Array:
        """``(rows,)`` each row's part in the metric, whose mean is the metric but for what is left of its bias.

        Jackknife pseudo-values (Tukey 1958); of a metric that is a mean over rows they are the rows' own scores.
        """
        rows = len(self)
        whole = self.score(metric, np.ones((1, rows)))[0]
        if rows < 2:
            return np.array([whole])
        without = self.score(metric, 1.0 - np.eye(rows))
        return np.asarray(rows * whole - (rows - 1) * np.where(np.isfinite(without), without, whole))


def metric_of(model: Model, wanted: str | None) -> str:
    """The metric that settings are compared by.

    Raises:
        UsageError: the task has none of that name, or it says nothing of the answers.
    """
    kind: Any = getattr(model.task, "kind", None) if model.task.writes else model.target.kind
    if kind not in metrics.KINDS:
        kind = None
    known = metrics.names(kind, len(model.target.labels)) if kind else ()
    usable = [name for name in known if name not in _OF_THE_TRUTH and not _describes(kind, name)]
    if wanted is None:
        facts = metrics.KINDS[kind] if kind else None
        chief = (facts.headline, *facts.chief) if facts else ()
        return next((name for name in chief if name in usable), usable[0] if usable else "")
    if wanted in _OF_THE_TRUTH:
        raise UsageError(
            f"no request parameter changes {wanted}, the likelihood of the truth", where="--metric", hint=_legal(usable)
        )
    if wanted in known and wanted not in usable:
        hint = _legal(usable)
        raise UsageError(f"{wanted} says how answers are, not how good", where="--metric", hint=hint)
    if known and wanted not in known:
        hint = did_you_mean(wanted, usable) or _legal(usable)
        raise UsageError(f"'{wanted}' is no metric of {model.bundle.config.task_name}", where="--metric", hint=hint)
    return wanted


def _describes(kind: str, name: str) -> bool:
    return any(metric.describes for (each, known), metric in METRICS.items() if known == name and each == kind)


def _legal(names: Sequence[str]) -> str:
    return f"legal: {', '.join(names)}"


def margin_of(metric: str, defaults: float) -> float:
    """2 % of a metric's scale: of 0 to 1, of 0 to 100, or, where it has no end, of the defaults' score.

    A tenth of the defaults' score where that is no more than the margin, within which nothing could be worse.
    """
    if metric in ("rmse", "mae", "log_loss", "mean_cost"):
        return max(0.02 * abs(defaults), 1e-9)
    usual = 2.0 if metric in ("bleu", "chrf") else 0.02
    return defaults / 10 if 0 < defaults <= usual else usual


def too_wide(metric: str, margin: float, defaults: float) -> str | None:
    """What to say of a margin that is more than the defaults' score, within which nothing could be worse; None: it is not."""
    if not metrics.higher_is_better(metric) or margin < abs(defaults):
        return None
    return (
        f"the margin, {margin:g}, is no less than the {metric} of the defaults, {defaults:.3g}: 'as good' and 'inert' say little "
        "here; --margin sets a smaller one"
    )


def written(
    model: Model,
    table: pa.Table,
    rows: Sequence[int],
    run: Setting,
    kept: Kept,
    price: float | None,
    form: Mapping[str, Any] | None,
) -> Judged:
    """A setting's answers of a task that writes; every row has as many. A form is what they are judged by."""
    from tunesmith.writing.generating import Written

    task: Any = model.task
    found = [kept.of(run.number, row) for row in rows]
    count = len(found[0])
    places = [row for row in rows for _ in range(count)]
    again = table.take(places)
    texts: list[Any] = [
        Written(((SimpleNamespace(text=one.text),),)) for samples in found for one in samples
    ]  # all that is counted of an answer is its text
    lengths: Any = SimpleNamespace(text_lengths=np.zeros(len(places), np.int64))
    context = task.context(Scored(again, lengths, (), task.inputs))
    predictions = task.count(task.references(again), texts, context)
    measured = measures.of(found, form=form, price=price)
    return Judged(predictions, count, measured, [samples[0].text for samples in found])


def shown(predictions: Predictions | Counted) -> list[str]:
    """Each answer as people read it; a number by as many digits as mean anything."""
    words: list[Any] = [predictions.names(one) for one in predictions.predicted]
    return [f"{one:.4g}" if isinstance(one, float) else str(one) for one in words]


class Reads:
    """Settings of a task that reads: outputs are computed once for each way of reading, then settings are applied."""

    def __init__(self, model: Model, table: pa.Table) -> None:
        self._model, self._table = model, table
        self._outputs: dict[str, tuple[Any, Any]] = {}

    def judged(self, run: Setting) -> Judged:
        """A setting's answers to all rows."""
        model = self._model
        reading = requested.reading(model.reader.reading, run.request)
        with model.reading() as folder:
            if (key := repr(reading)) not in self._outputs:
                examples = model.task.encode(self._table, model.tokenizer, reading, folder)
                self._outputs[key] = examples, model.engine.sequences(examples)
        examples, outputs = self._outputs[key]
        scores = model.task.scores(outputs, examples, model.target, run.request)
        scored = Scored(self._table, examples, scores, model.task.inputs)
        predictions = model.task.predictions(scored, model.task.asked(model.target, run.request))
        return Judged(predictions, 1, {}, shown(predictions))

    def idle(self, run: Setting) -> list[str]:
        """What the task says of parameters without effect."""
        examples, outputs = next(iter(self._outputs.values()))
        scores = self._model.task.scores(outputs, examples, self._model.target, run.request)
        scored = Scored(self._table, examples, scores, self._model.task.inputs)
        return list(self._model.task.idle(scored, self._model.target, run.request, self._model.bundle.config.model))


def places(judged: Judged, rows: NDArray[Any]) -> Judged:
    """Some rows of a setting that was answered once a row."""
    taken = judged.predictions.take(rows)
    return Judged(taken, 1, {}, [judged.shown[row] for row in rows.tolist()])
