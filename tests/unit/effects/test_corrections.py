"""Corrected p-values are those of the textbooks, and keep false alarms as rare as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.effects import corrections

P = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205])


def test_benjamini_hochberg_is_scipys() -> None:
    from scipy import stats

    assert corrections.benjamini_hochberg(P) == pytest.approx(stats.false_discovery_control(P))
    assert corrections.benjamini_hochberg(P[::-1]) == pytest.approx(stats.false_discovery_control(P)[::-1])


def test_holm_is_the_textbooks() -> None:
    """By hand: p times the number of hypotheses left, never falling."""
    by_hand = [0.008, 0.056, 0.234, 0.234, 0.234, 0.234, 0.234, 0.234]
    assert corrections.holm(P) == pytest.approx(by_hand)
    assert corrections.holm([0.9, 0.9]).tolist() == [1.0, 1.0]


def test_holm_keeps_any_false_alarm_rare() -> None:
    random = np.random.default_rng(1)
    alarms = np.mean([corrections.holm(random.random(20)).min() <= 0.05 for _ in range(4000)])
    assert 0.035 <= alarms <= 0.062


def test_benjamini_hochberg_keeps_the_share_of_false_discoveries() -> None:
    random, shares = np.random.default_rng(2), []
    for _ in range(800):
        p_values = np.concatenate([random.random(15), random.random(5) * 1e-4])
        found = np.flatnonzero(corrections.benjamini_hochberg(p_values) <= 0.05)
        shares.append((found < 15).mean() if len(found) else 0.0)
    assert np.mean(shares) <= 0.05
