"""How far probabilities can be trusted, before and after they were calibrated, and what is gained by withholding answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.decisions.calibration import uncalibrated
from tunesmith.metrics.counted import Counted
from tunesmith.metrics.formulas import CALIBRATION_BINS
from tunesmith.metrics.predictions import Predictions

SHOWN_BINS = 10
SHOWN_THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class CalibrationBin:
    """Decisions whose confidence lies in ``(low, high]``: their number, mean confidence, and share that is right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """The expected calibration error over 15 equal bins (Guo et al. 2017), and confidence against accuracy in 10."""

    error: float
    bins: tuple[CalibrationBin, ...]


@dataclass(frozen=True)
class Trust:
    """The same decisions, with the probabilities that the network gave and with those it was calibrated to."""

    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class Covered:
    """The answers of at least a probability: their share of the rows, and the share of them that is right, if there are any."""

    threshold: float
    rows: int
    share: float
    accuracy: float | None


def reliability(confidence: NDArray[Any], right: NDArray[Any]) -> Reliability:
    """Of decisions with their confidence, both of any like shape.

    >>> reliability(np.array([0.9] * 10), np.array([1] * 6 + [0] * 4)).error
    0.3
    """
    fine = binned(confidence, right, CALIBRATION_BINS)
    error = sum(one.rows * abs(one.confidence - one.accuracy) for one in fine) / max(1, np.size(confidence))
    return Reliability(round(error, 12), binned(confidence, right, SHOWN_BINS))


def trust(predictions: Predictions | Counted) -> Trust | None:
    """Before and after calibration; None where nothing was calibrated."""
    if isinstance(predictions, Counted):
        return predictions.trust
    if not predictions.decision.calibration:
        return None
    pairs, exclusive = predictions.decision.calibration, predictions.kind == "multi-class"
    before = replace(predictions, scores=uncalibrated(predictions.scores, pairs, exclusive=exclusive))
    return Trust(reliability(*before.sureness), reliability(*predictions.sureness))


def calibration_bins(predictions: Predictions, bins: int = SHOWN_BINS) -> tuple[CalibrationBin, ...]:
    """Confidence against accuracy in equal bins of confidence; bins without rows are left out, regression has none.

    Multi-class counts the predicted label of each row, multi-label the probability of every label of every row.
    """
    return () if predictions.kind == "regression" else binned(*predictions.sureness, bins)


def binned(confidence: NDArray[Any], right: NDArray[Any], bins: int) -> tuple[CalibrationBin, ...]:
    """Confidence against accuracy of decisions in equal bins of confidence; those without any are left out."""
    sure, true = np.ravel(confidence), np.ravel(right).astype(np.float64)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    mean = np.bincount(place, sure, minlength=bins) / np.maximum(rows, 1)
    accuracy = np.bincount(place, true, minlength=bins) / np.maximum(rows, 1)
    return tuple(
        CalibrationBin(b / bins, (b + 1) / bins, int(rows[b]), float(mean[b]), float(accuracy[b]))
        for b in range(bins)
        if rows[b]
    )


def coverage(predictions: Predictions | Counted) -> tuple[Covered, ...]:
    """What withholding answers below a probability leaves; of one label a row alone, for others empty."""
    if isinstance(predictions, Counted) or predictions.kind != "multi-class":
        return ()
    own = predictions.decision.abstain_below
    thresholds = sorted({*SHOWN_THRESHOLDS, *([own] if own else [])})
    return tuple(_covered(predictions, threshold) for threshold in thresholds)


def _covered(predictions: Predictions, threshold: float) -> Covered:
    given = predictions.confidence >= threshold
    rows = int(given.sum())
    accuracy = float(predictions.correct[given].mean()) if rows else None
    return Covered(threshold, rows, rows / len(predictions), accuracy)
