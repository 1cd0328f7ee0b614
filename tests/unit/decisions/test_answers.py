"""Answers follow costs, thresholds, and what a request asks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tunesmith.decisions import answers
from tunesmith.decisions.decision import Decision
from tunesmith.errors import UsageError
from tunesmith.tasks.base import Target

ONE = Target("multi-class", ("bad", "fine", "good"))
MANY = Target("multi-label", ("a", "b"))
CHANCES = np.array([[0.2, 0.35, 0.45], [0.6, 0.3, 0.1]])


def test_the_likeliest_label_is_the_answer() -> None:
    assert answers.decided(CHANCES, ONE).tolist() == [2, 0]
    assert answers.decided(np.array([[0.5, 0.49]]), MANY).tolist() == [[1, 0]]


def test_thresholds_of_labels_weigh_their_probabilities() -> None:
    rare = dataclasses.replace(ONE, thresholds=(0.1, 0.4, 0.5))
    assert answers.decided(CHANCES, rare).tolist() == [0, 0]
    two = Target("multi-class", ("no", "yes"), thresholds=(0.7, 0.3))
    assert answers.decided(np.array([[0.71, 0.29], [0.69, 0.31]]), two).tolist() == [0, 1]
    each = dataclasses.replace(MANY, thresholds=(0.2, 0.9))
    assert answers.decided(np.array([[0.2, 0.8], [0.1, 0.9]]), each).tolist() == [[1, 0], [0, 1]]


def test_the_answer_has_the_least_expected_cost() -> None:
    """Calling a bad one good costs ten."""
    costs = ((0.0, 1.0, 10.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
    careful = dataclasses.replace(ONE, decision=Decision(costs=costs))
    expected = [
        min(range(3), key=lambda answer: sum(p * costs[truth][answer] for truth, p in enumerate(row)))
        for row in CHANCES
    ]
    assert answers.decided(CHANCES, careful).tolist() == expected == [1, 0]
    (first, _) = answers.told(CHANCES, careful, top_k=2)
    assert (first["label"], first["score"]) == ("fine", 0.35)
    assert [entry["label"] for entry in first["top"]] == ["good", "fine"]


def test_unsure_answers_are_withheld_or_become_another_label() -> None:
    shy = dataclasses.replace(ONE, decision=Decision(abstain_below=0.5))
    assert [answer["label"] for answer in answers.told(CHANCES, shy, top_k=1)] == ["unknown", "bad"]
    assert [answer["label"] for answer in answers.told(CHANCES, shy, 1, "Other")] == ["Other", "bad"]
    assert answers.decided(CHANCES, shy).tolist() == [2, 0]
    assert answers.decided(CHANCES, shy, instead=1).tolist() == [1, 0]


def test_a_request_comes_before_what_was_tuned() -> None:
    shy = dataclasses.replace(ONE, decision=Decision(calibration=((0.5, 0.0),), abstain_below=0.5))
    assert answers.asked(shy, None) is shy
    assert answers.asked(shy, 0.0).decision == Decision(calibration=((0.5, 0.0),))
    assert answers.asked(dataclasses.replace(MANY, thresholds=(0.2, 0.9)), 0.4).thresholds == (0.4, 0.4)
    number = Target("regression", ("value",))
    assert answers.asked(number, 0.4) is number


def test_only_several_labels_have_log_odds_of_their_own() -> None:
    warm = Decision(calibration=((0.5, 0.0),))
    one, many = (answers.calibrated(np.array([[0.9, 0.1]]), dataclasses.replace(t, decision=warm)) for t in (ONE, MANY))
    np.testing.assert_allclose(one, [[0.75, 0.25]])
    np.testing.assert_allclose(many, [[0.75, 0.25]])
    both = answers.calibrated(np.array([[0.9, 0.9]]), dataclasses.replace(MANY, decision=warm))
    np.testing.assert_allclose(both, [[0.75, 0.75]])


def test_a_request_may_give_labels_thresholds_of_their_own() -> None:
    one = answers.asked(ONE, {"good": 0.5})
    assert [answer["label"] for answer in answers.told(CHANCES, one, 1)] == ["unknown", "bad"]
    assert answers.decided(CHANCES, one, instead=1).tolist() == [1, 0]
    shy = dataclasses.replace(ONE, decision=Decision(abstain_below=0.65))
    assert answers.asked(shy, {"good": 0.4}).decision == Decision(abstain_each=(0.65, 0.65, 0.4))
    assert [answer["label"] for answer in answers.told(CHANCES, answers.asked(shy, {"good": 0.4}), 1)] == [
        "good",
        "unknown",
    ]
    many = answers.asked(dataclasses.replace(MANY, thresholds=(0.2, 0.9)), {"a": 0.7})
    assert many.thresholds == (0.7, 0.9)
    with pytest.raises(UsageError, match="did you mean 'good'"):
        answers.asked(ONE, {"god": 0.5})


def test_other_scores_may_be_shown() -> None:
    shown = np.array([[-1.0, 0.0, 2.0], [5.0, 0.0, -5.0]])
    first, second = answers.told(CHANCES, ONE, 2, shown=shown)
    assert (first["label"], first["score"]) == ("good", 2.0)
    assert second["top"] == [{"label": "bad", "score": 5.0}, {"label": "fine", "score": 0.0}]
    (several,) = answers.told_many(np.array([[0.6, 0.7]]), MANY, 1, np.array([[1.0, 2.0]]))
    assert several == {"labels": ["b", "a"], "scores": [2.0, 1.0]}
