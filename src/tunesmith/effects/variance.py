"""Functional analysis of variance: which parameters, and which pairs of them, the values of settings vary with.

Each parameter gets columns that are orthonormal over the settings that were tried: all contrasts of its levels where
these are few or no numbers, else polynomials. Products of the columns of two parameters are their interaction. On a
balanced grid the columns of all parts are orthogonal, and the sums of squared coefficients are the classic
decomposition (Hoeffding 1948; Hooker 2007, "Generalized functional ANOVA"). Elsewhere they are fitted by ridge
regression, whose strength leaves single settings out best, as in sparse polynomial chaos (Sudret 2008).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Part = tuple[str, ...]
"""A parameter, or two that act together."""

_MOST_LEVELS = 8
_DEGREE = 3
_RIDGES = (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Shares:
    """How the variance of settings' values is made up.

    Args:
        variance: of the values.
        parts: share of each parameter alone and of each pair, by names; 0 to 1.
        rest: share that these leave, of more parameters together and of chance.
        exact: whether the settings were balanced, so that nothing was fitted.
        operators: of each part ``(settings, columns)``, with which values become its coefficients.
    """

    variance: float
    parts: Mapping[Part, float]
    rest: float
    exact: bool
    operators: Mapping[Part, Array]

    def coefficients(self, part: Part, values: Array) -> Array:
        """``(rows, columns)`` the part's coefficients in each row's own ``(rows, settings)`` values, for tests over rows."""
        centred = values - values.mean(axis=-1, keepdims=True)
        return np.asarray(centred @ self.operators[part])


def decompose(settings: Sequence[Mapping[str, Any]], values: Array) -> Shares:
    """Divide the variance of one value a setting among parameters and pairs of them.

    Args:
        settings: the value of each parameter, the same parameters in all; those with one value have no part.
        values: ``(settings,)``.

    >>> grid = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1)]
    >>> shares = decompose(grid, np.array([0.0, 0.0, 1.0, 1.0]))
    >>> {part: round(share, 3) for part, share in shares.parts.items()}
    {('a',): 1.0, ('b',): 0.0, ('a', 'b'): 0.0}
    """
    values = np.asarray(values, np.float64)
    design = _design(settings)
    centred = values - values.mean()
    variance = float((centred**2).mean())
    exact = is_balanced(settings)
    operators = _projection(design) if exact else _regression(design, centred)
    if variance <= 1e-24 * max(1.0, float(np.abs(values).max(initial=0.0)) ** 2):
        return Shares(0.0, dict.fromkeys(design, 0.0), 0.0, exact, operators)
    parts = {part: float(((centred @ each) ** 2).sum()) / variance for part, each in operators.items()}
    total = sum(parts.values())
    if total > 1:
        parts = {part: share / total for part, share in parts.items()}
    return Shares(variance, parts, max(0.0, 1 - total), exact, operators)


def is_balanced(settings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every combination of the parameters' values occurs, all equally often."""
    names = _varied(settings)
    counts: dict[tuple[str, ...], int] = {}
    for one in settings:
        key = tuple(repr(one[name]) for name in names)
        counts[key] = counts.get(key, 0) + 1
    cells = np.prod([len({repr(one[name]) for one in settings}) for name in names], dtype=float)
    return bool(len(counts) == cells) and len(set(counts.values())) <= 1


def _varied(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in settings[0] if len({repr(one[name]) for one in settings}) > 1] if settings else []


def _design(settings: Sequence[Mapping[str, Any]]) -> dict[Part, Array]:
    """Columns of each parameter, and of each pair their products."""
    alone = {name: _columns([one[name] for one in settings]) for name in _varied(settings)}
    design: dict[Part, Array] = {(name,): columns for name, columns in alone.items()}
    for first, second in itertools.combinations(alone, 2):
        products = alone[first][:, :, None] * alone[second][:, None, :]
        design[first, second] = products.reshape(len(settings), -1)
    return design


def _columns(values: Sequence[Any]) -> Array:
    """Orthonormal columns, each of mean 0 and mean square 1 over the settings."""
    levels = sorted({repr(value) for value in values})
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric and len(levels) > _MOST_LEVELS:
        spread = np.argsort(np.argsort(np.asarray(values, float), kind="stable"), kind="stable") / (len(values) - 1)
        raw = np.stack([(2 * spread - 1) ** power for power in range(1, _DEGREE + 1)], axis=1)
    else:
        raw = np.array([[repr(value) == level for level in levels[1:]] for value in values], np.float64)
    whole = np.hstack([np.ones((len(values), 1)), raw])
    orthonormal, _ = np.linalg.qr(whole)
    return np.asarray(orthonormal[:, 1:] * np.sqrt(len(values)))


def _projection(design: Mapping[Part, Array]) -> dict[Part, Array]:
    return {part: columns / len(columns) for part, columns in design.items()}


def _regression(design: Mapping[Part, Array], centred: Array) -> dict[Part, Array]:
    """Ridge regression, the pairs' columns held back where they do not help to predict settings that were left out."""
    if not design:
        return {}
    columns = np.hstack([each - each.mean(axis=0) for each in design.values()])
    left, singular, right = np.linalg.svd(columns / np.sqrt(len(centred)), full_matrices=False)
    kept = singular > 1e-9
    left, singular, right = left[:, kept], singular[kept], right[kept]
    best, chosen = np.inf, np.zeros_like(singular)
    for ridge in _RIDGES:
        shrunk = singular**2 / (singular**2 + ridge)
        freedom = np.minimum((left**2) @ shrunk + 1 / len(centred), 1.0)
        if freedom.max() > 1 - 1e-6:
            continue  # a setting that is fitted exactly says nothing of how well others would be
        error = float((((centred - left @ (shrunk * (left.T @ centred))) / (1 - freedom)) ** 2).mean())
        if error < best:
            best, chosen = error, shrunk / singular / np.sqrt(len(centred))
    sizes = np.cumsum([each.shape[1] for each in design.values()])[:-1]
    return dict(zip(design, np.split(left * chosen @ right, sizes, axis=1), strict=True))
