"""The tests of drift beside those of scipy, and at their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tunesmith.kept import statistics
from tunesmith.kept.training import Sample


def test_ks_is_that_of_scipy() -> None:
    chance = np.random.default_rng(0)
    then, now = chance.normal(size=300), chance.normal(0.2, size=200)
    found, known = statistics.ks(Sample.of(then, 9), now.tolist()), stats.ks_2samp(then, now)
    assert found.effect == pytest.approx(known.statistic)
    assert found.p == pytest.approx(known.pvalue, rel=0.15)


def test_ks_of_many_rows_goes_by_their_quantiles() -> None:
    chance = np.random.default_rng(0)
    then, now = chance.normal(size=50_000), chance.normal(size=500)
    kept = Sample.of(then)
    assert (kept.rows, len(kept.values)) == (50_000, 1_001)
    assert statistics.ks(kept, now.tolist()).effect == pytest.approx(stats.ks_2samp(then, now).statistic, abs=0.003)


def test_the_mix_is_that_of_scipy() -> None:
    then, now = {"a": 50, "b": 30, "c": 20}, {"a": 30, "b": 30, "c": 40}
    found = statistics.mix(then, now)
    known = stats.chi2_contingency([list(then.values()), list(now.values())], correction=False)
    assert found.p == pytest.approx(known.pvalue)
    assert found.part == "c"
    shares = [(0.5, 0.3), (0.3, 0.3), (0.2, 0.4)]
    assert found.effect == pytest.approx(sum((y - x) * np.log(y / x) for x, y in shares), rel=0.05)


def test_rare_labels_count_as_one_and_a_single_label_is_no_mix() -> None:
    assert statistics.mix({"a": 100, "b": 1, "c": 1}, {"a": 100, "d": 2}).p > 0.5
    assert statistics.mix({"a": 10}, {"a": 20}).p == 1.0
    assert statistics.mix({"a": 100}, {"b": 100}).p < 1e-6


def test_presence_is_corrected_for_how_many_things_there_are() -> None:
    then, now = {str(n): 50 for n in range(100)}, {**{str(n): 50 for n in range(99)}, "99": 70}
    found = statistics.presence(then, 100, now, 100)
    alone = statistics.presence({"99": 50}, 100, {"99": 70}, 100)
    assert found.part == "99"
    assert found.p == pytest.approx(100 * alone.p)
    assert statistics.presence({}, 100, {}, 100).p == 1.0


@pytest.mark.parametrize(("other", "rows"), [(10, None), (10**9, 67), (133, 133)])
def test_rows_needed(other: int, rows: int | None) -> None:
    found = statistics.needed(other)
    assert found == rows if rows is None else found == pytest.approx(rows, abs=1)


def test_holm_keeps_the_order() -> None:
    assert statistics.holm([0.2, 0.001, 0.04]) == pytest.approx([0.2, 0.003, 0.08])
