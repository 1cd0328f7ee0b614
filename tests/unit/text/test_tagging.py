"""Labels that are chosen, spans with their scores, and the threshold that finds most of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunesmith.text import tagging, tags, token_words
from tunesmith.text.spans import Span
from tunesmith.text.tagging import Tagged

NAMES = tuple(tags.labels(["a", "b"]))
RULES = token_words.rules(NAMES, "iob2")
PLACES = np.array([[0, 2], [3, 5], [6, 8], [9, 11]])


def rows(*pairs: tuple[str, float]) -> np.ndarray:
    """Probabilities of which the named label has the given one, and outside the rest."""
    found = np.zeros((len(pairs), len(NAMES)))
    for row, (name, share) in zip(found, pairs, strict=True):
        row[0] = 1 - share
        row[NAMES.index(name)] += share
    return found


def tagged(*pairs: tuple[str, float]) -> Tagged:
    [found] = tagging.choose([PLACES[: len(pairs)]], [rows(*pairs)], RULES)
    return found


def test_spans_are_in_characters_with_their_score() -> None:
    found = tagged(("B-a", 0.9), ("I-a", 0.7), ("O", 1.0), ("B-b", 0.6))
    assert found.spans(NAMES) == [Span(0, 5, "a"), Span(9, 11, "b")]
    for way, score in {"mean": 0.8, "min": 0.7, "product": 0.63, "first": 0.9}.items():
        (span, first), (_, second) = found.scored(NAMES, way)  # type: ignore[arg-type]
        assert span == Span(0, 5, "a")
        assert first == pytest.approx(score)
        assert second == pytest.approx(0.6)


def test_only_spans_that_are_asked_for_are_kept() -> None:
    found = tagged(("B-a", 0.9), ("I-a", 0.7), ("O", 1.0), ("B-b", 0.6))
    assert found.kept(NAMES, threshold=0.61).spans(NAMES) == [Span(0, 5, "a")]
    assert found.kept(NAMES, threshold=0.75, aggregation="min").spans(NAMES) == []
    assert found.kept(NAMES, types=["b"]).spans(NAMES) == [Span(9, 11, "b")]
    assert found.kept(NAMES, types=[]).spans(NAMES) == []
    assert found.kept(NAMES).chosen.tolist() == found.chosen.tolist()


def test_the_threshold_is_the_probability_from_which_a_word_is_inside() -> None:
    probabilities = rows(("B-a", 0.3), ("B-a", 0.31), ("B-a", 0.7), ("B-a", 0.71))
    for threshold, inside in ((0.305, [1, 2, 3]), (0.5, [2, 3]), (0.705, [3]), (0.99, [])):
        [found] = tagging.choose([PLACES], [probabilities], RULES, threshold)
        assert np.flatnonzero(found.chosen).tolist() == inside
        assert found.probabilities is probabilities, "the scores stay those of the model"


def test_packing_loses_nothing() -> None:
    found = tagged(("B-a", 0.9), ("I-a", 1 / 3))
    again = Tagged.unpacked(found.packed())
    for name in ("places", "chosen", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    empty = Tagged(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros((0, len(NAMES))))
    assert Tagged.unpacked(empty.packed()).scored(NAMES) == []


def test_the_best_threshold_finds_what_a_shy_model_holds_back() -> None:
    gold = [[Span(0, 2, "a")], [Span(0, 2, "a"), Span(6, 8, "b")], []]
    shy = [
        rows(("B-a", 0.4), ("O", 1), ("O", 1), ("O", 1)),
        rows(("B-a", 0.45), ("O", 1), ("B-b", 0.35), ("O", 1)),
        rows(("B-a", 0.1), ("O", 1), ("O", 1), ("O", 1)),
    ]
    texts = tagging.choose([PLACES] * 3, shy, RULES)
    threshold = tagging.best_threshold(texts, gold, NAMES, RULES)
    assert 0.1 < threshold <= 0.35
    again = tagging.choose([PLACES] * 3, shy, RULES, threshold)
    assert [text.spans(NAMES) for text in again] == gold


def test_where_nothing_is_gained_the_threshold_is_a_half() -> None:
    texts = [tagged(("B-a", 0.9), ("O", 1.0))]
    assert tagging.best_threshold(texts, [[Span(0, 2, "a")]], NAMES, RULES) == 0.5
    assert tagging.best_threshold(texts, [[]], NAMES, RULES) <= 1
    assert tagging.best_threshold([], [], NAMES, RULES) == 0.5


def test_movement_is_that_of_the_probabilities() -> None:
    then, now = tagged(("B-a", 0.9), ("O", 1.0)).packed(), tagged(("B-a", 0.85), ("O", 1.0)).packed()
    assert tagging.moved(then.tolist(), now.tolist()) == pytest.approx(0.05)
    assert tagging.moved(then.tolist(), then.tolist()) == 0
    assert tagging.moved(then.tolist(), now[:1].tolist()) == 1.0, "other words"
    assert tagging.moved([], []) == 0


def test_the_product_is_the_chance_that_all_labels_hold() -> None:
    found = tagged(("B-a", 0.9), ("I-a", 0.8), ("I-a", 0.7))
    [(_, score)] = found.scored(NAMES, "product")
    assert score == pytest.approx(math.prod((0.9, 0.8, 0.7)))
