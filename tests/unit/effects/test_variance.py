"""Shares of variance: exact on balanced grids, found by a fit elsewhere."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tunesmith.effects import variance

LEVELS: dict[str, tuple[Any, ...]] = {"a": (0.0, 0.5, 1.0), "b": ("x", "y"), "c": (1, 2, 3, 4)}


def grid() -> list[dict[str, Any]]:
    return [{"a": a, "b": b, "c": c} for a, b, c in itertools.product(*LEVELS.values())]


def of_cells(settings: list[dict[str, Any]], values: np.ndarray) -> dict[tuple[str, ...], float]:
    """The classic decomposition, by means of cells."""

    def means(names: tuple[str, ...]) -> np.ndarray:
        keys = [tuple(one[name] for name in names) for one in settings]
        return np.array([np.mean([v for v, k in zip(values, keys, strict=True) if k == key]) for key in keys])

    centre = values.mean()
    alone: dict[tuple[str, ...], np.ndarray] = {(name,): means((name,)) - centre for name in LEVELS}
    parts = dict(alone)
    for p, q in itertools.combinations(LEVELS, 2):
        parts[p, q] = means((p, q)) - alone[p,] - alone[q,] - centre
    return {part: float((each**2).mean() / values.var()) for part, each in parts.items()}


def test_shares_of_a_balanced_grid_are_those_of_cell_means() -> None:
    settings, values = grid(), np.random.default_rng(0).normal(size=24)
    found = variance.decompose(settings, values)
    assert found.exact
    assert dict(found.parts) == pytest.approx(of_cells(settings, values))
    assert sum(found.parts.values()) + found.rest == pytest.approx(1)


def test_a_pure_interaction_is_no_main_effect() -> None:
    settings = [{"a": a, "b": b} for a in (0, 1) for b in (0, 1)]
    found = variance.decompose(settings, np.array([1.0, 0.0, 0.0, 1.0]))
    assert found.parts == pytest.approx({("a",): 0, ("b",): 0, ("a", "b"): 1})


def test_a_grid_with_holes_is_fitted_and_comes_near_the_whole_grids_shares() -> None:
    settings = grid()
    values = np.array([3 * one["a"] + (one["b"] == "x") * (1 + one["a"]) + 0.1 * one["c"] for one in settings])
    whole = variance.decompose(settings, values)
    kept = [place for place in range(24) if place not in (3, 10, 17)]
    found = variance.decompose([settings[place] for place in kept], values[kept])
    assert not found.exact
    for part, share in whole.parts.items():
        assert found.parts[part] == pytest.approx(share, abs=0.08)


def test_random_designs_of_numbers_find_what_matters() -> None:
    random = np.random.default_rng(1)
    settings = [{"a": float(a), "b": float(b), "c": float(c)} for a, b, c in random.random((60, 3))]
    values = np.array([2 * one["a"] + 3 * (one["a"] - 0.5) * (one["b"] - 0.5) for one in settings])
    values += random.normal(0, 0.05, 60)
    found = variance.decompose(settings, values)
    assert found.parts["a",] > 0.7
    assert found.parts["a", "b"] > 0.05
    assert found.parts["c",] < 0.03


def test_values_that_do_not_vary_have_no_shares() -> None:
    found = variance.decompose(grid(), np.full(24, 7.0))
    assert found.variance == 0
    assert set(found.parts.values()) == {0.0}


def test_coefficients_of_rows_average_to_those_of_their_mean() -> None:
    settings, rows = grid(), np.random.default_rng(2).normal(size=(10, 24))
    shares = variance.decompose(settings, rows.mean(axis=0))
    mean = shares.coefficients(("a",), rows).mean(axis=0)
    assert float((mean**2).sum()) / shares.variance == pytest.approx(shares.parts["a",])


def test_a_parameter_with_one_value_has_no_part() -> None:
    found = variance.decompose([{"a": 1, "b": 0}, {"a": 1, "b": 1}], np.array([0.0, 1.0]))
    assert set(found.parts) == {("b",)}
