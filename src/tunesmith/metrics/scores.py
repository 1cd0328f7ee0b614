"""Scores, their bootstrap intervals, and paired tests of two models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.errors import UsageError, did_you_mean
from tunesmith.metrics.formulas import METRICS, Formula
from tunesmith.metrics.predictions import Array, Kind, Predictions
from tunesmith.metrics.sample import Sample

RANK_RESAMPLES = 200
_CELLS_AT_ONCE = 2_000_000  # weights held in memory: 16 MB, which also keeps them in cache


def names(kind: Kind, labels: int | None = None) -> tuple[str, ...]:
    """Names of the metrics of a kind of predictions.

    Args:
        kind: the kind.
        labels: number of labels; two labels of the kind ``multi-class`` have a few metrics more.

    >>> names("regression")
    ('spearman', 'pearson', 'rmse', 'mae', 'r2')
    """
    kinds = {kind, "binary"} if kind == "multi-class" and labels == 2 else {kind}
    return tuple(name for name, known in METRICS.items() if kinds & set(known.kinds))


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better.

    Raises:
        UsageError: no such metric; names the nearest.

    >>> higher_is_better("f1_macro"), higher_is_better("rmse"), higher_is_better("loss")
    (True, False, False)
    """
    if name == "loss":
        return False
    if name not in METRICS:
        raise UsageError(f"unknown metric '{name}'", hint=did_you_mean(name, list(METRICS)))
    return METRICS[name].higher_is_better


def sorts_rows(name: str) -> bool:
    """Whether a metric sorts the rows (``roc_auc`` and such), which makes its intervals slow for many labels."""
    return METRICS[name].ranks


def score(predictions: Predictions) -> dict[str, float]:
    """Every metric that is defined for these predictions, by flat name; undefined ones are left out."""
    sample = Sample(predictions, np.ones((1, len(predictions))))
    found = {name: float(formula(sample)[0]) for name, formula in _formulas(predictions).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def intervals(
    predictions: Predictions,
    names: Iterable[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals over rows (Efron 1979).

    Args:
        predictions: the rows that are resampled.
        names: metrics; None means all.
        seed: of the resampling.
        resamples: how many; metrics that sort the rows (``roc_auc`` and such) use about 200.
        confidence: share of the resamples inside the interval, in (0, 1).

    Returns:
        Name to (low, high). Metrics that most resamples leave undefined are left out.

    Raises:
        UsageError: a name that is not a metric of these predictions.
    """
    chosen = _choose(predictions, names)
    drawn: dict[str, list[Array]] = {name: [] for name in chosen}
    for done, weights in _bootstrap_weights(len(predictions), seed, resamples):
        sample = Sample(predictions, weights)
        for name, formula in chosen.items():
            if done < _limit(formula, resamples):
                drawn[name].append(formula(sample))
    found = {name: _percentiles(np.concatenate(parts), confidence) for name, parts in drawn.items()}
    return {name: interval for name, interval in found.items() if interval is not None}


@dataclass(frozen=True)
class Comparison:
    """Model ``b`` against model ``a`` on the same rows, by one metric.

    ``difference`` is ``b - a``, ``interval`` its 95% paired bootstrap interval, ``p_value`` the chance of a difference
    at least this large between models that are interchangeable.
    """

    name: str
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p_value: float


def paired_test(a: Predictions, b: Predictions, name: str, seed: int = 0, resamples: int = 1000) -> Comparison:
    """Compare two models on the same rows: paired bootstrap interval, approximate randomisation test (Noreen 1989).

    The test swaps the two models' answers in random rows and asks how often the difference is as large as it is.

    Raises:
        ValueError: the two are not of the same rows.
        UsageError: no such metric for these predictions, or it is not defined on them.
    """
    if a.kind != b.kind or a.labels != b.labels or not np.array_equal(a.targets, b.targets):
        raise ValueError("a paired test needs two models' predictions of the same rows")
    formula = _choose(a, [name])[name]
    ones = np.ones((1, len(a)))
    first, second = float(formula(Sample(a, ones))[0]), float(formula(Sample(b, ones))[0])
    difference = second - first
    if not math.isfinite(difference):
        raise UsageError(f"'{name}' is not defined on these rows")
    resamples = _limit(formula, resamples)
    draws = [formula(Sample(b, w)) - formula(Sample(a, w)) for _, w in _bootstrap_weights(len(a), seed, resamples)]
    swapped = np.abs(_swapped_differences(a, b, formula, seed, resamples))
    p_value = (1 + int((swapped >= abs(difference) - 1e-12).sum())) / (1 + len(swapped))
    interval = _percentiles(np.concatenate(draws), 0.95) or (difference, difference)
    return Comparison(name, first, second, difference, interval, p_value)


def _swapped_differences(a: Predictions, b: Predictions, formula: Formula, seed: int, resamples: int) -> Array:
    """Differences after swapping the answers of random rows: both models' rows lie in one table, weights choose."""
    both = replace(
        a,
        targets=np.concatenate([a.targets, b.targets]),
        scores=np.concatenate([a.scores, b.scores]),
        predicted=np.concatenate([a.predicted, b.predicted]),
        texts=[*a.texts, *b.texts],
        lengths=np.concatenate([a.lengths, b.lengths]),
        sources=(),
    )
    random = np.random.default_rng([seed, 1])
    found = []
    for _, size in _chunks(2 * len(a), resamples):
        swap = random.integers(0, 2, size=(size, len(a))).astype(np.float64)
        one, other = np.hstack([1 - swap, swap]), np.hstack([swap, 1 - swap])
        found.append(formula(Sample(both, other)) - formula(Sample(both, one)))
    return np.concatenate(found)


def _bootstrap_weights(rows: int, seed: int, resamples: int) -> Iterator[tuple[int, Array]]:
    """Chunks of ``(draws, rows)`` counts of resampling with replacement, with how many draws came before."""
    random = np.random.default_rng([seed, 0])
    for done, size in _chunks(rows, resamples):
        draws = [np.bincount(random.integers(0, rows, size=rows), minlength=rows) for _ in range(size)]
        yield done, np.stack(draws).astype(np.float64)


def _chunks(rows: int, resamples: int) -> Iterator[tuple[int, int]]:
    step = min(RANK_RESAMPLES, max(1, _CELLS_AT_ONCE // rows))
    for done in range(0, resamples, step):
        yield done, min(step, resamples - done)


def _limit(formula: Formula, resamples: int) -> int:
    return min(RANK_RESAMPLES, resamples) if METRICS[formula.__name__].ranks else resamples


def _percentiles(values: Array, confidence: float) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    if len(defined) <= len(values) / 2:
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _formulas(predictions: Predictions) -> dict[str, Formula]:
    return {name: METRICS[name].formula for name in names(predictions.kind, len(predictions.labels))}


def _choose(predictions: Predictions, wanted: Iterable[str] | None) -> Mapping[str, Formula]:
    known = _formulas(predictions)
    if wanted is None:
        return known
    chosen = list(wanted)
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise UsageError(f"'{name}' is not a metric of {predictions.kind} predictions", hint=hint)
    return {name: known[name] for name in chosen}
