"""Predictions and what is known of the run become a report."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from tunesmith import metrics
from tunesmith.decisions.decision import UNDECIDED
from tunesmith.metrics import KINDS, Counted, Predictions
from tunesmith.report.model import (
    Beside,
    Curves,
    Evaluated,
    Folds,
    Headline,
    Mistake,
    Report,
    Sample,
    Slice,
    Timing,
    Trained,
)

MOST_MISTAKES = 25

_SHOWN_CHARACTERS = 400
_MOST_POINTS = 400
_AFFORDABLE_CELLS = 300_000
_LIBRARIES = ("tunesmith", "torch", "transformers", "tokenizers", "accelerate", "peft", "scikit-learn", "numpy")


def build(
    predictions: Predictions | Counted,
    *,
    task: str,
    base: str,
    adapter: str,
    headline: str,
    rows: Mapping[str, int],
    split: str = "test",
    thresholds: Sequence[float] = (),
    log: Iterable[Mapping[str, Any]] = (),
    findings: Iterable[str] = (),
    command: str = "",
    timing: Timing | None = None,
    config: Mapping[str, Any] | None = None,
    license: str | None = None,
    beside: Beside | None = None,
    notes: Sequence[str] = (),
    folds: Folds | None = None,
    weights: tuple[int, int] | None = None,
    seed: int = 0,
) -> Report:
    """Score predictions and gather what a reader needs to judge them.

    Args:
        predictions: of the rows that are scored.
        task: name of the task.
        base: the base model.
        adapter: which weights of it trained.
        headline: name of the metric to put first; the next that is defined takes its place where it is not.
        rows: number of rows of each split.
        split: the one that is scored.
        thresholds: probability from which each label is given, or that it must be the largest multiple of; empty: none.
        log: entries of the run's log: ``{"event": "step", ...}`` and ``{"event": "evaluation", ...}``.
        findings: what the check of the data said.
        command: what repeats the run.
        timing: what the run cost.
        config: nested or dotted parameters of the run.
        license: SPDX name of the base model's licence.
        beside: what the base model gave; see ``beside``.
        notes: what a reader must know beside what the predictions say of themselves.
        folds: scores of cross-validation.
        weights: weights of the base model that trained, and all it has.
        seed: of the bootstrap.
    """
    scores = metrics.score(predictions)
    headline = headline if headline in scores else next(iter(scores))
    intervals = metrics.intervals(predictions, _resampled(predictions, scores, headline), seed=seed)
    return Report(
        task=task,
        base=base,
        adapter=adapter,
        rows=dict(rows),
        split=split,
        headline=Headline(headline, scores[headline], intervals.get(headline)),
        metrics=scores,
        intervals=intervals,
        curves=curves(log),
        findings=tuple(findings),
        command=command,
        timing=timing or Timing(),
        environment=environment(),
        config=flat(config or {}),
        license=license,
        beside=beside or Beside(),
        folds=folds or Folds(),
        weights=weights,
        **_read_off(predictions, thresholds, notes, seed),
    )


def _read_off(
    predictions: Predictions | Counted, thresholds: Sequence[float], notes: Sequence[str], seed: int
) -> dict[str, Any]:
    """What follows from the predictions and their thresholds, and what is to be noted of them."""
    of_labels = isinstance(predictions, Predictions) and len(thresholds) > 0
    return {
        "kind": predictions.kind,
        "labels": predictions.labels,
        "text": metrics.classification_report(predictions),
        "per_label": metrics.label_table(predictions, np.asarray(thresholds) if of_labels else None),
        "worst": worst(predictions),
        "slices": slices(predictions, seed),
        "scored": len(predictions),
        "confusions": metrics.confusions(predictions),
        "error_kinds": metrics.mistakes(predictions),
        "fingerprint": metrics.fingerprint(predictions),
        "notes": (*notes, *(predictions.notes if isinstance(predictions, Counted) else ())),
        "families": predictions.families if isinstance(predictions, Predictions) else (),
        "decision": predictions.decision if isinstance(predictions, Predictions) else UNDECIDED,
        "trust": metrics.trust(predictions),
        "coverage": metrics.coverage(predictions),
    }


def beside(base: Counted, trained: Counted) -> Beside:
    """What the base model gave before training, beside the trained model's answers to the same rows."""
    before, after = metrics.score(base), metrics.score(trained)
    rows = zip(trained.texts, trained.targets, base.predicted, trained.predicted, strict=True)
    samples = (Sample(*map(shortened, row)) for row in rows)
    return Beside(tuple(samples), {name: (before[name], after[name]) for name in after if name in before})


def environment() -> dict[str, str]:
    """Versions of the interpreter and of the libraries that compute, and the machine's kind."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def worst(predictions: Predictions | Counted, most: int = MOST_MISTAKES) -> tuple[Mistake, ...]:
    """The mistakes made with most confidence; for other kinds than multi-class the answers furthest from the truth."""
    errors = _errors(predictions)
    order = np.argsort(-errors, kind="stable")[:most]
    return tuple(_mistake(predictions, int(row), float(errors[row])) for row in order if errors[row] > 0)


def slices(predictions: Predictions | Counted, seed: int = 0, buckets: int = 6) -> tuple[Slice, ...]:
    """Scores of rows by length of text, in buckets of about equally many rows; those without a score are left out."""
    edges = np.unique(np.quantile(predictions.lengths, np.linspace(0, 1, buckets + 1), method="nearest"))
    uppers = edges[1:] if len(edges) > 1 else edges
    place = np.searchsorted(uppers, predictions.lengths)
    parts = (_slice(predictions.take(place == bucket), seed) for bucket in np.unique(place))
    return tuple(part for part in parts if part is not None)


def curves(log: Iterable[Mapping[str, Any]]) -> Curves:
    """The course of training from a run's log; many steps become means over equal stretches."""
    training, evaluations = [], []
    for entry in log:
        if entry.get("event") == "step":
            training.append(Trained(entry["step"], entry["seconds"], entry["loss"], entry["learning_rate"]))
        elif entry.get("event") == "evaluation":
            evaluations.append(Evaluated(entry["step"], entry["seconds"], dict(entry["scores"]), entry["best"]))
    return Curves(tuple(_thinned(training)), tuple(evaluations))


def _resampled(predictions: Predictions | Counted, scores: Mapping[str, float], headline: str) -> list[str]:
    """Metrics that get an interval: all, but for those that sort the rows of each label where that takes long."""
    cells = len(predictions) * max(len(predictions.labels), 1)
    return [name for name in scores if name == headline or cells <= _AFFORDABLE_CELLS or not metrics.sorts_rows(name)]


def _errors(predictions: Predictions | Counted) -> np.ndarray:
    """``(n,)`` how bad each answer is; 0 where it is right."""
    if isinstance(predictions, Counted):
        return predictions.errors
    if predictions.kind == "regression":
        return np.asarray(np.abs(predictions.predicted - predictions.targets))
    if predictions.kind == "multi-class":
        return np.asarray(predictions.confidence * ~predictions.correct)
    wrong = predictions.targets != predictions.predicted
    return np.asarray((wrong * np.abs(predictions.targets - predictions.scores)).sum(axis=1))


def _mistake(predictions: Predictions | Counted, row: int, error: float) -> Mistake:
    confidence = None
    if isinstance(predictions, Predictions) and predictions.kind == "multi-class":
        confidence = float(predictions.confidence[row])
    return Mistake(
        text=shortened(predictions.texts[row]),
        target=_shown(predictions.names(predictions.targets[row])),
        predicted=_shown(predictions.names(predictions.predicted[row])),
        confidence=confidence,
        where=predictions.sources[row] if predictions.sources else None,
        error=error,
    )


def shortened(text: str, most: int = _SHOWN_CHARACTERS) -> str:
    """A text for viewing, with a mark that says how much is not shown.

    >>> shortened("abcdefgh", 3)
    'abc … [5 more characters]'
    """
    return text if len(text) <= most else f"{text[:most]} … [{len(text) - most:,} more characters]"


def _shown(answer: str | list[str] | float) -> str:
    if isinstance(answer, list):
        return ", ".join(answer) or "(none)"
    return (shortened(answer) or "(none)") if isinstance(answer, str) else f"{answer:.4g}"


def _slice(part: Predictions | Counted, seed: int) -> Slice | None:
    name = KINDS[part.kind].by_length
    value = metrics.score(part, [name]).get(name)
    if value is None:
        return None
    interval = metrics.intervals(part, [name], seed=seed, resamples=400).get(name)
    return Slice(int(part.lengths.min()), int(part.lengths.max()), len(part), name, value, interval)


def _thinned(points: list[Trained]) -> list[Trained]:
    if len(points) <= _MOST_POINTS:
        return points
    stretches = np.array_split(np.arange(len(points)), _MOST_POINTS)
    return [_mean([points[number] for number in stretch]) for stretch in stretches]


def _mean(points: list[Trained]) -> Trained:
    loss = float(np.mean([point.loss for point in points]))
    rate = float(np.mean([point.learning_rate for point in points]))
    return Trained(points[-1].step, points[-1].seconds, loss, rate)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted name.

    >>> flat({"train": {"epochs": 3}, "out": None})
    {'train.epochs': 3, 'out': None}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        else:
            found[path] = list(value) if isinstance(value, tuple) else value
    return found
