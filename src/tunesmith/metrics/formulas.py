"""Every metric of labels and numbers, written once, for weighted rows: ``(draws, n)`` weights give ``(draws,)`` scores.

With weights of one it is the score of the data; with the counts of a resample it is a bootstrap draw. Undefined is NaN.
The numbers equal those of scikit-learn's and scipy's functions of the same name, with ``zero_division=0`` and every
known label counted. Those of entities, which need only what is counted of each label, equal seqeval's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tunesmith.metrics.predictions import Array, Predictions
from tunesmith.metrics.registry import metric, ratio
from tunesmith.metrics.sample import Draws, Sample

CALIBRATION_BINS = 15
LABELS = ("multi-class", "multi-label")


@metric("multi-class")
def accuracy(sample: Sample) -> Array:
    """Share of rows whose label is right."""
    return sample.mean(sample.rows.correct.astype(np.float64))


@metric(*LABELS, "entities")
def f1_weighted(sample: Draws) -> Array:
    """F1 of each label, weighted by how many rows have it."""
    return _weighted(sample, _f1(sample))


@metric(*LABELS, "entities", "triples")
def f1_macro(sample: Draws) -> Array:
    """Mean F1 of all labels."""
    return _macro(sample, _f1(sample))


@metric(*LABELS, "entities")
def f1_micro(sample: Draws) -> Array:
    """F1 of all decisions together."""
    return ratio(2 * sample.hits.sum(axis=1), (sample.actual + sample.predicted).sum(axis=1))


@metric(*LABELS, "entities")
def precision_macro(sample: Draws) -> Array:
    """Mean precision of all labels."""
    return _macro(sample, ratio(sample.hits, sample.predicted))


@metric(*LABELS, "entities")
def recall_macro(sample: Draws) -> Array:
    """Mean recall of all labels."""
    return _macro(sample, ratio(sample.hits, sample.actual))


@metric(*LABELS, "entities")
def precision_weighted(sample: Draws) -> Array:
    """Precision of each label, weighted by how many rows have it."""
    return _weighted(sample, ratio(sample.hits, sample.predicted))


@metric(*LABELS, "entities")
def recall_weighted(sample: Draws) -> Array:
    """Recall of each label, weighted by how many rows have it."""
    return _weighted(sample, ratio(sample.hits, sample.actual))


@metric("binary")
def f1(sample: Sample) -> Array:
    """F1 of the second of two labels."""
    return _f1(sample)[:, 1]


@metric("binary")
def precision(sample: Sample) -> Array:
    """Share of rows predicted as the second label that have it."""
    return ratio(sample.hits, sample.predicted)[:, 1]


@metric("binary")
def recall(sample: Sample) -> Array:
    """Share of rows with the second label that are found."""
    return ratio(sample.hits, sample.actual)[:, 1]


@metric("multi-class")
def mcc(sample: Sample) -> Array:
    """Matthews correlation of targets and predictions (Gorodkin 2004 for many labels); 0 if either is constant."""
    total = sample.total
    shared = total * sample.hits.sum(axis=1) - (sample.actual * sample.predicted).sum(axis=1)
    spread = (total**2 - (sample.actual**2).sum(axis=1)) * (total**2 - (sample.predicted**2).sum(axis=1))
    return ratio(shared, np.sqrt(spread))


@metric("multi-class", lower=True)
def log_loss(sample: Sample) -> Array:
    """Mean negative log probability of the right label, in nats."""
    scores = sample.rows.scores / sample.rows.scores.sum(axis=1, keepdims=True)
    right = np.take_along_axis(scores, sample.rows.targets[:, None], axis=1)[:, 0]
    smallest = np.finfo(np.float64).eps
    return sample.mean(-np.log(np.clip(right, smallest, 1 - smallest)))


@metric(*LABELS, lower=True)
def expected_calibration_error(sample: Sample) -> Array:
    """Mean distance of confidence from accuracy over 15 equal bins of confidence (Guo et al. 2017).

    With several labels the probability of every label of every row is a confidence.
    """
    confidence, right = sample.rows.sureness
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    cells = np.arange(len(sample.rows))[:, None] * CALIBRATION_BINS + bins
    gaps = np.bincount(cells.ravel(), (confidence - right).ravel(), minlength=len(sample.rows) * CALIBRATION_BINS)
    together = sample.weights @ gaps.reshape(-1, CALIBRATION_BINS)
    return np.asarray(np.abs(together).sum(axis=1) / (sample.total * confidence.shape[1]))


@metric("abstaining")
def coverage(sample: Sample) -> Array:
    """Share of rows whose answer is sure enough to be given."""
    return sample.mean(sample.rows.answered.astype(np.float64))


@metric("abstaining")
def accuracy_answered(sample: Sample) -> Array:
    """Share of the answers given that are right."""
    given = sample.rows.answered.astype(np.float64)
    return ratio(sample.weights @ (given * sample.rows.correct), sample.weights @ given, empty=np.nan)


@metric("costly", lower=True)
def mean_cost(sample: Sample) -> Array:
    """What the answers to a row cost, by the costs that the model decides by."""
    rows, costs = sample.rows, np.array(sample.rows.decision.costs)
    if rows.kind == "multi-class":
        return sample.mean(costs[rows.targets, rows.predicted])
    missed, wrong = rows.targets * (1 - rows.predicted), rows.predicted * (1 - rows.targets)
    return sample.mean(missed @ costs[:, 0] + wrong @ costs[:, 1])


@metric(*LABELS, ranks=True)
def roc_auc(sample: Sample) -> Array:
    """Chance that a row with the label scores above one without it; mean over labels, each against the rest."""
    targets, scores = _one_hot(sample.rows), sample.rows.scores
    if sample.rows.kind == "multi-class" and len(sample.rows.labels) == 2:
        return _auc(scores[:, 1], targets[:, 1], sample.weights)
    if (targets.all(axis=0) | ~targets.any(axis=0)).any():
        return np.full(len(sample.weights), np.nan)
    return _nanmean([_auc(scores[:, k], targets[:, k], sample.weights) for k in range(targets.shape[1])])


@metric("multi-label")
def f1_samples(sample: Sample) -> Array:
    """Mean over rows of the F1 of a row's labels."""
    hits = (sample.rows.targets * sample.rows.predicted).sum(axis=1)
    return sample.mean(ratio(2.0 * hits, (sample.rows.targets + sample.rows.predicted).sum(axis=1)))


@metric("multi-label")
def subset_accuracy(sample: Sample) -> Array:
    """Share of rows whose labels are all right."""
    return sample.mean(sample.rows.correct.astype(np.float64))


@metric("multi-label", lower=True)
def hamming_loss(sample: Sample) -> Array:
    """Share of wrong decisions, each label of each row being one."""
    return sample.mean((sample.rows.targets != sample.rows.predicted).mean(axis=1))


@metric("multi-label", ranks=True)
def average_precision_macro(sample: Sample) -> Array:
    """Area under each label's precision-recall steps; mean over labels. 0 for a label that no row has."""
    targets, scores = sample.rows.targets, sample.rows.scores
    columns = [
        _average_precision(scores[:, k], targets[:, k], sample.weights)
        if targets[:, k].any()
        else np.zeros(len(sample.weights))
        for k in range(targets.shape[1])
    ]
    return _nanmean(columns)


@metric("multi-label")
def lrap(sample: Sample) -> Array:
    """Label ranking average precision: of the labels ranked above a right one, the share that is right."""
    targets, costs = sample.rows.targets.astype(bool), -sample.rows.scores
    among_all = rankdata(costs, method="max", axis=1)
    among_right = rankdata(np.where(targets, costs, np.inf), method="max", axis=1)
    right = targets.sum(axis=1)
    mean = ratio(np.where(targets, among_right / among_all, 0.0).sum(axis=1), right)
    return sample.mean(np.where((right == 0) | (right == targets.shape[1]), 1.0, mean))


@metric("regression", ranks=True)
def spearman(sample: Sample) -> Array:
    """Correlation of ranks."""
    weights = sample.weights
    return _correlation(_ranks(sample.rows.targets, weights), _ranks(sample.rows.predicted, weights), weights)


@metric("regression")
def pearson(sample: Sample) -> Array:
    """Linear correlation."""
    return _correlation(sample.rows.targets[None], sample.rows.predicted[None], sample.weights)


@metric("regression", lower=True)
def rmse(sample: Sample) -> Array:
    """Root of the mean squared error, in the target's unit."""
    return np.sqrt(sample.mean((sample.rows.predicted - sample.rows.targets) ** 2))


@metric("regression", lower=True)
def mae(sample: Sample) -> Array:
    """Mean absolute error, in the target's unit."""
    return sample.mean(np.abs(sample.rows.predicted - sample.rows.targets))


@metric("regression")
def r2(sample: Sample) -> Array:
    """Share of the targets' variance that is explained."""
    centre = sample.mean(sample.rows.targets)[:, None]
    spread = (sample.weights * (sample.rows.targets[None] - centre) ** 2).sum(axis=1)
    missed = sample.weights @ (sample.rows.predicted - sample.rows.targets) ** 2
    return 1 - ratio(missed, spread, empty=np.nan)


def _f1(sample: Draws) -> Array:
    return ratio(2 * sample.hits, sample.actual + sample.predicted)


def _macro(sample: Draws, values: Array) -> Array:
    return ratio((values * sample.counted).sum(axis=1), sample.counted.sum(axis=1))


def _weighted(sample: Draws, values: Array) -> Array:
    return ratio((values * sample.actual).sum(axis=1), sample.actual.sum(axis=1))


def _nanmean(columns: list[Array]) -> Array:
    """Mean over labels that leaves out those undefined in a draw; NaN if all are."""
    values = np.stack(columns)
    return ratio(np.nansum(values, axis=0), np.isfinite(values).sum(axis=0), empty=np.nan)


def _one_hot(rows: Predictions) -> NDArray[np.int64]:
    if rows.kind == "multi-label":
        return rows.targets
    return np.asarray(rows.targets[:, None] == np.arange(len(rows.labels))).astype(np.int64)


def _ties(values: Array, weights: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Order of ascending values, starts of the groups of equal ones, weights in that order."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(values[order]) > 0])
    return order, starts, weights[:, order]


def _auc(scores: Array, marks: NDArray[np.int64], weights: Array) -> Array:
    order, starts, sorted_weights = _ties(scores, weights)
    everyone = np.add.reduceat(sorted_weights, starts, axis=1)
    positive = np.add.reduceat(sorted_weights * marks[order], starts, axis=1)
    negative = everyone - positive
    below = negative.cumsum(axis=1) - negative / 2
    return ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1), empty=np.nan)


def _average_precision(scores: Array, marks: NDArray[np.int64], weights: Array) -> Array:
    order, starts, sorted_weights = _ties(-scores, weights)
    everyone = np.add.reduceat(sorted_weights, starts, axis=1)
    positive = np.add.reduceat(sorted_weights * marks[order], starts, axis=1)
    precisions = ratio(positive.cumsum(axis=1), everyone.cumsum(axis=1))
    return ratio((positive * precisions).sum(axis=1), positive.sum(axis=1), empty=np.nan)


def _ranks(values: Array, weights: Array) -> Array:
    """``(draws, n)`` ranks of each draw's rows, equal values sharing the mean of theirs."""
    order, starts, sorted_weights = _ties(values, weights)
    group = np.add.reduceat(sorted_weights, starts, axis=1)
    middle = group.cumsum(axis=1) - (group - 1) / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff(np.r_[starts, len(values)]), axis=1)
    return ranks


def _correlation(left: Array, right: Array, weights: Array) -> Array:
    total = weights.sum(axis=1, keepdims=True)
    left = left - (weights * left).sum(axis=1, keepdims=True) / total
    right = right - (weights * right).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * left**2).sum(axis=1) * (weights * right**2).sum(axis=1))
    constant = spread <= 1e-12 * total[:, 0]
    return np.asarray(np.where(constant, np.nan, ratio((weights * left * right).sum(axis=1), spread, empty=np.nan)))
