"""The report as values: everything that its projections show."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from tunesmith.decisions.decision import UNDECIDED, Decision
from tunesmith.errors import BundleError
from tunesmith.metrics import KINDS, Confusion, Counted, Covered, Facts, Kind, LabelScore, Predictions, Trust

FORMAT = 1


@dataclass(frozen=True)
class Headline:
    """The one score to remember, with its 95% bootstrap interval (None where it cannot be had)."""

    name: str
    value: float
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        between = f"  [{self.interval[0]:.4f}, {self.interval[1]:.4f}]" if self.interval else ""
        return f"{self.name} {self.value:.4f}{between}"


@dataclass(frozen=True)
class Mistake:
    """A wrong answer. ``text`` is shortened with a mark that says by how much; ``error`` sorts: larger is worse."""

    text: str
    target: str
    predicted: str
    confidence: float | None
    where: str | None
    error: float


@dataclass(frozen=True)
class Sample:
    """A row with the base model's answer, as it was before training, beside the trained model's."""

    text: str
    target: str
    base: str
    predicted: str


@dataclass(frozen=True)
class Beside:
    """The base model and the trained one on the same rows; ``metrics`` by name: the base model's, then the other's."""

    samples: tuple[Sample, ...] = ()
    metrics: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Folds:
    """Cross-validation: scores, by name, of the rows of each fold by the network that was trained without them.

    Args:
        scores: of each fold.
        mean: of these.
        deviation: their standard deviation (n - 1).
    """

    scores: dict[str, tuple[float, ...]] = field(default_factory=dict)
    mean: dict[str, float] = field(default_factory=dict)
    deviation: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, scores: Mapping[str, tuple[float, ...]]) -> Folds:
        """What follows from the scores of at least two folds."""
        means = {name: statistics.mean(each) for name, each in scores.items()}
        return cls(dict(scores), means, {name: statistics.stdev(each) for name, each in scores.items()})

    @property
    def count(self) -> int:
        """Number of folds; 0 where there was no cross-validation."""
        return len(next(iter(self.scores.values()), ()))


@dataclass(frozen=True)
class HeldOut:
    """Predictions of rows by networks that were trained without them.

    Args:
        split: that the rows are of: ``train`` or ``validation``.
        fold: from 1; None: the mean of all folds' networks, for rows that none was trained on.
        rows: their numbers in the split.
        predictions: of these rows.
    """

    split: str
    fold: int | None
    rows: np.ndarray
    predictions: Predictions | Counted


@dataclass(frozen=True)
class Slice:
    """The score of the rows whose texts have ``low`` to ``high`` tokens, both included."""

    low: int
    high: int
    rows: int
    metric: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Trained:
    """A stretch of training: its last step, seconds of training until then, mean loss and learning rate."""

    step: int
    seconds: float
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Evaluated:
    """Validation scores after a step; ``best``: better than all before."""

    step: int
    seconds: float
    scores: dict[str, float]
    best: bool


@dataclass(frozen=True)
class Curves:
    """How training went; ``training`` holds means over equal stretches if there were many steps."""

    training: tuple[Trained, ...] = ()
    evaluations: tuple[Evaluated, ...] = ()


@dataclass(frozen=True)
class Timing:
    """What the run cost. ``train_s`` is the training loop alone, ``total_s`` the whole run, ``tokens`` are real ones."""

    train_s: float | None = None
    total_s: float | None = None
    tokens: int | None = None
    peak_memory_bytes: int | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Training tokens, padding not counted, per second of training."""
        return self.tokens / self.train_s if self.tokens and self.train_s else None


@dataclass(frozen=True)
class Report:
    """How good a model is, how it came to be, and where it fails.

    Args:
        task: name of the task.
        kind: kind of its predictions.
        base: the base model.
        adapter: which weights trained.
        labels: names of the labels.
        rows: number of rows of each split.
        split: the split that is scored.
        headline: the score to remember.
        metrics: all scores by flat name.
        intervals: 95% bootstrap intervals of scores.
        text: the classification report as scikit-learn or seqeval prints it; a table of scores where it has no labels.
        per_label: scores of every label.
        confusions: the most frequent ones.
        worst: the worst mistakes, worst first.
        slices: score by length of text.
        curves: how training went.
        findings: what the check of the data said.
        command: what repeats the run.
        timing: what it cost.
        environment: versions of what computed it.
        config: every parameter by dotted name.
        license: SPDX name of the base model's licence, which the trained weights inherit.
        scored: rows that the scores are of, where not all of the split; None in reports of older versions.
        fingerprint: hash of the scored rows; equal for runs that may be compared row by row.
        error_kinds: how often each kind of error was made; empty where errors are of one kind.
        notes: how it was scored, such as sacrebleu's signatures.
        families: where labels are relations, the one that each is a direction of; see ``metrics.Predictions``.
        beside: what the base model gave for some rows before training; empty where it could not answer.
        decision: what was decided on the validation rows, and applied to what is scored.
        trust: how far probabilities can be trusted, before and after calibration; None: not calibrated.
        coverage: what withholding unsure answers leaves, by the probability from which they are given.
        folds: scores of cross-validation; empty where there was none.
        weights: weights of the base model that trained, and all it has with its adapter; None in older reports.
    """

    task: str
    kind: Kind
    base: str
    adapter: str
    labels: tuple[str, ...]
    rows: dict[str, int]
    split: str
    headline: Headline
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    text: str
    per_label: tuple[LabelScore, ...]
    confusions: tuple[Confusion, ...]
    worst: tuple[Mistake, ...]
    slices: tuple[Slice, ...]
    fingerprint: str
    scored: int | None = None
    curves: Curves = Curves()
    findings: tuple[str, ...] = ()
    command: str = ""
    timing: Timing = Timing()
    environment: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    license: str | None = None
    error_kinds: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    beside: Beside = Beside()
    decision: Decision = UNDECIDED
    trust: Trust | None = None
    coverage: tuple[Covered, ...] = ()
    folds: Folds = Folds()
    weights: tuple[int, int] | None = None

    @property
    def measured_on(self) -> str:
        """What was scored, in words, such as ``60 of 618 test rows``: a task that writes may answer only some."""
        whole = self.rows.get(self.split, 0)
        scored = whole if self.scored is None else self.scored
        return f"{scored:,} {self.split} rows" if scored == whole else f"{scored:,} of {whole:,} {self.split} rows"

    @property
    def facts(self) -> Facts:
        """What hangs on the kind of the predictions."""
        return KINDS[self.kind]

    def __str__(self) -> str:
        """As the terminal shows it, without colour."""
        from tunesmith.report.terminal import plain

        return plain(self)


@cache
def _adapter() -> TypeAdapter[Report]:
    return TypeAdapter(Report)


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values; ``from_json`` gives it back equal."""
    values: dict[str, Any] = _adapter().dump_python(report, mode="json")
    return {"format": FORMAT, **values}


def from_json(values: Mapping[str, Any], where: str | None = None) -> Report:
    """The report that ``to_json`` wrote.

    Raises:
        BundleError: it is damaged, or written by a newer version.
    """
    found = values.get("format")
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        message = "the report is from a newer version" if newer else "this is not a report"
        raise BundleError(message, where=where, hint="upgrade tunesmith" if newer else None)
    try:
        return _adapter().validate_python({key: value for key, value in values.items() if key != "format"})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"the report is damaged: {place}: {first['msg']}", where=where) from None
