"""Scores, their bootstrap intervals, and paired tests of two models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tunesmith.errors import UsageError, did_you_mean
from tunesmith.metrics import formulas, formulas_counted, formulas_relations
from tunesmith.metrics.counted import Counted
from tunesmith.metrics.kinds import Kind
from tunesmith.metrics.predictions import Array, Predictions
from tunesmith.metrics.registry import METRICS, Metric
from tunesmith.metrics.sample import row_by_row, sampled

FORMULAS = (formulas, formulas_counted, formulas_relations)
"""The files that declare the metrics, in the order in which these are shown."""

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
    return tuple(_metrics((kind, "binary") if kind == "multi-class" and labels == 2 else (kind,)))


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better.

    Raises:
        UsageError: no such metric; names the nearest.

    >>> higher_is_better("f1_macro"), higher_is_better("rmse"), higher_is_better("loss")
    (True, False, False)
    """
    if name == "loss":
        return False
    known = {each: metric for (_, each), metric in METRICS.items()}
    if name not in known:
        raise UsageError(f"unknown metric '{name}'", hint=did_you_mean(name, list(known)))
    return known[name].higher_is_better


def sorts_rows(name: str) -> bool:
    """Whether a metric sorts the rows (``roc_auc`` and such), which makes its intervals slow for many labels."""
    return any(metric.ranks for (_, each), metric in METRICS.items() if each == name)


def score(predictions: Predictions | Counted, names: Iterable[str] | None = None) -> dict[str, float]:
    """Metrics that are defined for these predictions, by flat name; undefined ones are left out.

    Args:
        predictions: of any kind.
        names: metrics; None means all.

    Raises:
        UsageError: a name that is not a metric of these predictions.
    """
    sample = sampled(predictions, np.ones((1, len(predictions))))
    found = {name: float(metric.formula(sample)[0]) for name, metric in _choose(predictions, names).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def score_rows(predictions: Counted, name: str) -> Array:
    """``(n,)`` a metric of each row by itself; NaN where it is undefined.

    Raises:
        UsageError: a name that is not a metric of these predictions.
    """
    return _choose(predictions, [name])[name].formula(row_by_row(predictions))


def score_weighted(predictions: Predictions | Counted, name: str, weights: Array) -> Array:
    """``(draws,)`` a metric of ``(draws, n)`` weighted rows, for whoever draws rows; NaN where it is undefined.

    Raises:
        UsageError: a name that is not a metric of these predictions.
    """
    formula = _choose(predictions, [name])[name].formula
    step = max(1, _CELLS_AT_ONCE // max(1, len(predictions)))
    parts = (weights[done : done + step] for done in range(0, len(weights), step))
    return np.concatenate([formula(sampled(predictions, part)) for part in parts])


def intervals(
    predictions: Predictions | Counted,
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
        Name to (low, high). Metrics that most resamples leave undefined are left out, and those that describe the
        answers without judging them (``length_ratio`` and such).

    Raises:
        UsageError: a name that is not a metric of these predictions.
    """
    chosen = {name: metric for name, metric in _choose(predictions, names).items() if not metric.describes}
    drawn: dict[str, list[Array]] = {name: [] for name in chosen}
    for done, weights in _bootstrap_weights(len(predictions), seed, resamples):
        sample = sampled(predictions, weights)
        for name, metric in chosen.items():
            if done < _limit(metric, resamples):
                drawn[name].append(metric.formula(sample))
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


def paired_test(
    a: Predictions | Counted, b: Predictions | Counted, name: str, seed: int = 0, resamples: int = 1000
) -> Comparison:
    """Compare two models on the same rows: paired bootstrap interval, approximate randomisation test (Noreen 1989).

    The test swaps the two models' answers in random rows and asks how often the difference is as large as it is.

    Raises:
        ValueError: the two are not of the same rows.
        UsageError: no such metric for these predictions, it is not defined on them, or has no better and worse.
    """
    if not a.same_rows(b):
        raise ValueError("a paired test needs two models' predictions of the same rows")
    metric = _choose(a, [name])[name]
    if metric.describes:
        raise UsageError(f"'{name}' says how answers are, not how good: there is nothing to test")
    ones = np.ones((1, len(a)))
    first, second = (float(metric.formula(sampled(each, ones))[0]) for each in (a, b))
    difference = second - first
    if not math.isfinite(difference):
        raise UsageError(f"'{name}' is not defined on these rows")
    resamples = _limit(metric, resamples)
    draws = [
        metric.formula(sampled(b, weights)) - metric.formula(sampled(a, weights))
        for _, weights in _bootstrap_weights(len(a), seed, resamples)
    ]
    swapped = np.abs(_swapped_differences(a, b, metric, seed, resamples))
    p_value = (1 + int((swapped >= abs(difference) - 1e-12).sum())) / (1 + len(swapped))
    interval = _percentiles(np.concatenate(draws), 0.95) or (difference, difference)
    return Comparison(name, first, second, difference, interval, p_value)


def _swapped_differences(
    a: Predictions | Counted, b: Predictions | Counted, metric: Metric, seed: int, resamples: int
) -> Array:
    """Differences after swapping the answers of random rows: both models' rows lie in one table, weights choose."""
    both = a.joined(b)
    random = np.random.default_rng([seed, 1])
    found = []
    for _, size in _chunks(2 * len(a), resamples):
        swap = random.integers(0, 2, size=(size, len(a))).astype(np.float64)
        one, other = np.hstack([1 - swap, swap]), np.hstack([swap, 1 - swap])
        found.append(metric.formula(sampled(both, other)) - metric.formula(sampled(both, one)))
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


def _limit(metric: Metric, resamples: int) -> int:
    return min(RANK_RESAMPLES, resamples) if metric.ranks else resamples


def _percentiles(values: Array, confidence: float) -> tuple[float, float] | None:
    defined = values[np.isfinite(values)]
    if len(defined) <= len(values) / 2:
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _metrics(kinds: tuple[str, ...]) -> dict[str, Metric]:
    return {name: metric for (each, name), metric in METRICS.items() if each in kinds}


def _choose(predictions: Predictions | Counted, wanted: Iterable[str] | None) -> Mapping[str, Metric]:
    known = _metrics(predictions.metric_kinds)
    if wanted is None:
        return known
    chosen = list(wanted)
    for name in chosen:
        if name not in known:
            hint = did_you_mean(name, list(known))
            raise UsageError(f"'{name}' is not a metric of {predictions.kind} predictions", hint=hint)
    return {name: known[name] for name in chosen}
