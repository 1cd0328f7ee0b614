"""Label errors and ambiguous rows, from probabilities alone."""

from __future__ import annotations

import numpy as np

from tunesmith.diagnosis.mislabelled import doubts
from tunesmith.metrics import Predictions


def one_label(targets: np.ndarray, scores: np.ndarray) -> Predictions:
    labels = tuple("abcde"[: scores.shape[1]])
    texts = [f"text {number}" for number in range(len(targets))]
    return Predictions("multi-class", labels, targets, scores, scores.argmax(1), texts, np.ones(len(targets)))


def several(targets: np.ndarray, scores: np.ndarray) -> Predictions:
    labels = tuple("abcde"[: scores.shape[1]])
    texts = [f"text {number}" for number in range(len(targets))]
    return Predictions("multi-label", labels, targets, scores, scores >= 0.5, texts, np.ones(len(targets)))


def sure(true: np.ndarray, labels: int, confidence: float = 0.9) -> np.ndarray:
    scores = np.full((len(true), labels), (1 - confidence) / (labels - 1))
    scores[np.arange(len(true)), true] = confidence
    return scores


def test_flipped_labels_are_found_with_what_they_were() -> None:
    true = np.arange(300) % 3
    scores = sure(true, 3)
    scores[5], scores[17] = (0.001, 0.001, 0.998), (0.05, 0.02, 0.93)
    given = true.copy()
    flipped = [5, 17, 44, 90]
    given[flipped] = (true[flipped] + 1) % 3
    found = doubts(one_label(given, scores))
    assert sorted(found.errors.tolist()) == flipped
    assert found.errors[0] == 5
    assert found.suggested[found.errors].argmax(1).tolist() == true[found.errors].tolist()
    assert found.probability[5] == 0.998
    assert found.margin[5] == 0.001 - 0.998


def test_two_likely_labels_are_ambiguous_and_no_error() -> None:
    true = np.arange(90) % 3
    scores = sure(true, 3)
    scores[10], scores[11], scores[12] = (0.48, 0.5, 0.02), (0.5, 0.49, 0.01), (0.34, 0.33, 0.33)
    scores[13] = (0.02, 0.7, 0.28)
    found = doubts(one_label(true, scores))
    assert 13 not in found.ambiguous
    assert [row for row in found.ambiguous.tolist() if row in (10, 11)] == [11, 10]
    assert not set(found.ambiguous.tolist()) & set(found.errors.tolist())
    assert found.suggested[[10, 11]].argmax(1).tolist() == [0, 0], "the other of the two, if one of them was given"
    assert found.probability[[10, 11]].tolist() == [0.48, 0.5]


def test_a_label_that_no_row_has_is_no_trouble() -> None:
    true = np.arange(60) % 2
    scores = np.hstack([sure(true, 2) * 0.99, np.full((60, 1), 0.01)])
    given = true.copy()
    given[7] = 1 - given[7]
    assert doubts(one_label(given, scores)).errors.tolist() == [7]


def test_missing_and_superfluous_labels_of_several() -> None:
    random = np.random.default_rng(0)
    true = (random.random((400, 3)) < 0.4).astype(int)
    scores = np.where(true == 1, 0.9, 0.08)
    given = true.copy()
    wrong = [3, 50, 120, 200, 333]
    for row in wrong:
        given[row, row % 3] = 1 - given[row, row % 3]
    found = doubts(several(given, scores))
    assert sorted(found.errors.tolist()) == wrong
    assert np.array_equal(found.suggested[wrong], true[wrong].astype(bool))
    for row in wrong:
        expected = 0.9 if true[row, row % 3] else 1 - 0.08
        assert np.isclose(found.probability[row], expected)
