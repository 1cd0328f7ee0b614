"""Probabilities that mean what they say: of the answers given with 0.8, eight in ten are right.

One temperature for labels that exclude one another (Guo et al. 2017, "On Calibration of Modern Neural Networks"); for
several labels a factor and a shift for each (Platt 1999), held near those that suit all labels together. It works on
probabilities, so that what windows of a long text say together is calibrated, and not each of them.

Shapes: N rows, O labels. A pair (factor, shift) is applied to log odds, or to log probabilities where labels exclude
one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

Array = NDArray[np.float64]
Pairs = tuple[tuple[float, float], ...]

_SMALLEST = float(np.finfo(np.float64).tiny)
_NEAREST = 1e-15  # to 0 or 1, so that log odds are finite
_LARGEST = np.log(20.0)  # of the log of a factor
_SPREAD = 0.5  # expected of the log of a factor, so that a few rows that are all right do not make a model certain
_COMMON_SPREADS = np.array([_SPREAD, 1.0])  # of log factor and shift of all labels together
_SPREADS = np.array([0.3, 0.5])  # of a label's log factor and shift about those of all labels


def calibrated(chances: NDArray[Any], pairs: Pairs, *, exclusive: bool) -> Array:
    """Probabilities (N, O) as they should be; without pairs as they are.

    >>> calibrated(np.array([[0.9, 0.1]]), ((0.5, 0.0),), exclusive=True).round(3).tolist()
    [[0.75, 0.25]]
    """
    if not pairs:
        return np.asarray(chances)
    factors, shifts = np.array(pairs, np.float64).T
    return _chances(_odds(chances, exclusive) * factors + shifts, exclusive)


def uncalibrated(chances: NDArray[Any], pairs: Pairs, *, exclusive: bool) -> Array:
    """What ``calibrated`` was given."""
    if not pairs:
        return np.asarray(chances)
    factors, shifts = np.array(pairs, np.float64).T
    return _chances((_odds(chances, exclusive) - shifts) / factors, exclusive)


def fit_temperature(chances: NDArray[Any], truth: NDArray[Any], *, exclusive: bool) -> Pairs:
    """One factor, of which the temperature is the inverse: that with the largest likelihood of the truth.

    Args:
        chances: (N, O).
        truth: label numbers (N,) where labels exclude one another, else marks (N, O) of 0 and 1.
        exclusive: which of the two.

    >>> sure, truth = np.array([[0.99, 0.01]] * 1000), np.array([0] * 800 + [1] * 200)
    >>> ((factor, shift),) = fit_temperature(sure, truth, exclusive=True)
    >>> calibrated(sure, ((factor, shift),), exclusive=True)[0, 0].round(2)
    np.float64(0.8)
    """
    from scipy.optimize import minimize_scalar  # a server that only answers is spared what it loads

    odds = _odds(chances, exclusive)

    def loss(log_factor: float) -> float:
        scaled = odds * np.exp(log_factor)
        return _surprise(scaled, truth, exclusive) + (log_factor / _SPREAD) ** 2 / 2

    best = minimize_scalar(loss, bounds=(-_LARGEST, _LARGEST), method="bounded", options={"xatol": 1e-4})
    return ((float(np.exp(best.x)), 0.0),)


def fit_each(chances: NDArray[Any], truth: NDArray[Any]) -> Pairs:
    """A factor and a shift for each of several labels: those of all labels, moved as far as a label's own rows bear out.

    Args:
        chances: (N, O).
        truth: marks (N, O) of 0 and 1.
    """
    odds = _odds(chances, exclusive=False)
    marks = np.asarray(truth, np.float64)
    common = _fit(odds.ravel(), marks.ravel(), np.zeros(2), _COMMON_SPREADS)
    each = (_fit(odds[:, label], marks[:, label], common, _SPREADS) for label in range(odds.shape[1]))
    return tuple((float(np.exp(log_factor)), float(shift)) for log_factor, shift in each)


def _fit(odds: Array, marks: Array, usual: Array, spreads: Array) -> Array:
    """Log factor and shift, weighed against what is usual."""
    from scipy.optimize import minimize

    def loss(both: Array) -> tuple[float, Array]:
        scaled = odds * np.exp(both[0])
        moved = scaled + both[1]
        wrong = expit(moved) - marks
        away = (both - usual) / spreads
        value = np.logaddexp(0, moved).sum() - moved @ marks + away @ away / 2
        return float(value), np.array([wrong @ scaled, wrong.sum()]) + away / spreads

    limits = [(-_LARGEST, _LARGEST), (None, None)]
    found: Array = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=limits).x
    return found


def _surprise(odds: Array, truth: NDArray[Any], exclusive: bool) -> float:
    """Negative log likelihood of the truth, in nats."""
    if exclusive:
        return float(-np.take_along_axis(log_softmax(odds, axis=1), truth[:, None], axis=1).sum())
    return float(np.logaddexp(0, odds).sum() - (odds * truth).sum())


def _odds(chances: NDArray[Any], exclusive: bool) -> Array:
    found = np.asarray(chances, np.float64)
    if exclusive:
        return np.asarray(np.log(np.maximum(found, _SMALLEST)))
    kept = np.clip(found, _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _chances(odds: Array, exclusive: bool) -> Array:
    return np.asarray(softmax(odds, axis=1) if exclusive else expit(odds))


def told(pairs: Sequence[tuple[float, float]]) -> str:
    """The calibration in words.

    >>> told(((0.5, 0.0),)), told(((0.5, 0.1), (2.0, 0.0)))
    ('temperature 2.000', 'temperatures 0.500 to 2.000 and a shift for each label')
    """
    temperatures = sorted(1 / factor for factor, _ in pairs)
    if len(pairs) == 1:
        return f"temperature {temperatures[0]:.3f}"
    return f"temperatures {temperatures[0]:.3f} to {temperatures[-1]:.3f} and a shift for each label"
