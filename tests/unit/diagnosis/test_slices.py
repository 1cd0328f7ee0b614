from __future__ import annotations

import numpy as np
import pytest

from tunesmith.diagnosis import slices


def answers(shares: dict[str, float], rows: int = 200, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    random = np.random.default_rng(seed)
    column = [name for name in shares for _ in range(rows)]
    return random.random(len(column)) < np.array([shares[name] for name in column]), column


def test_a_slice_that_is_answered_worse_is_found() -> None:
    correct, column = answers({"web": 0.9, "mail": 0.9, "scan": 0.6})
    found, tried = slices.failing(correct, {"source": column})
    assert tried == 3
    [one] = found
    assert (one.by, one.value, one.rows) == ("source", "scan", 200)
    assert one.score == pytest.approx(correct[400:].mean())
    assert one.rest == pytest.approx(correct[:400].mean())
    assert one.interval[0] < one.score < one.interval[1]
    assert one.p_value < 1e-6


def test_chance_alone_finds_hardly_ever_one() -> None:
    """Of fifty data sets of twelve like slices each, at most a few show one: the p values hold for all slices together."""
    hits = 0
    for seed in range(50):
        correct, column = answers({str(number): 0.8 for number in range(12)}, rows=60, seed=seed)
        hits += bool(slices.failing(correct, {"source": column})[0])
    assert hits <= 6


def test_small_slices_and_columns_of_names_are_not_looked_at() -> None:
    correct, column = answers({"web": 0.9, "scan": 0.1}, rows=19)
    assert slices.failing(correct, {"source": column, "id": [str(n) for n in range(38)], "same": ["x"] * 38}) == ([], 0)
