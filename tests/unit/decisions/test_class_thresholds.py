"""Thresholds of labels that exclude one another are kept where they help, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import softmax

from tunesmith.decisions.class_thresholds import Candidates, tuned
from tunesmith.metrics.registry import METRICS

PRIOR = np.array([0.85, 0.1, 0.05])


def rows(count: int, seed: int, skill: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """Honest probabilities of labels of which two are rare, and the truth."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, count, p=PRIOR)
    seen = random.normal(size=(count, 3)) + skill * np.eye(3)[truth]
    return softmax(skill * seen + np.log(PRIOR), axis=1), truth


@pytest.mark.parametrize("metric", ["f1_macro", "recall_macro"])
def test_rare_labels_gain_on_other_rows(metric: str) -> None:
    chances, truth = rows(1500, seed=0)
    thresholds = tuned(chances, truth, metric, ("a", "b", "c"))
    assert thresholds.sum() == pytest.approx(1)
    assert thresholds[0] > thresholds[1:].max(), "what is common needs more"
    others, right = rows(6000, seed=1)
    score = {"f1_macro": lambda z: sk.f1_score(right, z, average="macro")}.get(
        metric, lambda z: sk.recall_score(right, z, average="macro")
    )
    assert score((others / thresholds).argmax(1)) > score(others.argmax(1)) + 0.03


def test_chance_is_no_gain() -> None:
    """Of noise, and of labels that come equally often, nothing is to be had; few rows bear nothing out."""
    random = np.random.default_rng(3)
    noise = softmax(random.normal(size=(300, 3)), axis=1)
    assert not len(tuned(noise, random.integers(0, 3, 300), "f1_weighted", ("a", "b", "c")))
    assert not len(tuned(*rows(8, seed=0), "f1_macro", ("a", "b", "c")))


def test_candidates_count_as_sklearn_does() -> None:
    chances, truth = rows(200, seed=5)
    ways = np.stack([chances.argmax(1), np.zeros(200, int), (chances / [0.8, 0.1, 0.1]).argmax(1)])
    counted = Candidates(truth, ways, 3)
    for name, expected in (
        ("f1_macro", lambda z: sk.f1_score(truth, z, average="macro", labels=range(3), zero_division=0)),
        ("f1_weighted", lambda z: sk.f1_score(truth, z, average="weighted", zero_division=0)),
        ("recall_macro", lambda z: sk.recall_score(truth, z, average="macro", zero_division=0)),
        ("mcc", lambda z: sk.matthews_corrcoef(truth, z)),
    ):
        assert METRICS["multi-class", name].formula(counted) == pytest.approx([expected(z) for z in ways])


def test_the_same_rows_give_the_same_thresholds() -> None:
    found = [tuned(*rows(600, seed=0), "f1_macro", ("a", "b", "c")) for _ in range(2)]
    assert found[0].tolist() == found[1].tolist()
