"""What is on a front."""

from __future__ import annotations

import numpy as np

from tunesmith.effects import pareto


def test_the_front_is_what_a_search_over_all_pairs_finds() -> None:
    points = np.random.default_rng(0).integers(0, 6, (60, 3)).astype(float)
    signs = [True, False, True]
    turned = points * np.where(signs, 1, -1)
    slowly = [
        i
        for i in range(60)
        if not any((turned[j] >= turned[i]).all() and (turned[j] > turned[i]).any() for j in range(60))
    ]
    assert pareto.front(points, signs) == slowly


def test_points_without_a_value_are_on_no_front_and_keep_none_off_it() -> None:
    assert pareto.front([[np.nan, 9.0], [1.0, 1.0]], [True, True]) == [1]
    assert pareto.front(np.empty((0, 2)), [True, True]) == []
