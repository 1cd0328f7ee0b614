"""From outputs of words to entities and their relations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from tunesmith.text import triples
from tunesmith.text.spans import Span
from tunesmith.text.triples import Found, Held, Names, Pattern, Triple

NAMES = Names(("LOC", "PER"), ("in", "near"))
ANN, ROME, OSLO = Span(0, 3, "PER"), Span(7, 11, "LOC"), Span(15, 19, "LOC")
PLACES = [(0, 3), (4, 6), (7, 11), (12, 14), (15, 19)]
TEXT = "Ann in Rome or Oslo"
OUTSIDE, B_LOC, I_LOC, B_PER, I_PER = range(5)


def words(*chosen: int, sure: float = 0.9, pairs: dict[tuple[int, int, int], float] | None = None) -> np.ndarray:
    """Words with tags of a probability, and scores of (head, relation, tail) that are 3 where given, else -3.

    With as many numbers as words, each pair of words can have a score of its own.
    """
    count, relations = len(chosen), len(NAMES.relations)
    rows = np.full((count, len(NAMES.tags)), (1 - sure) / 4)
    rows[range(count), chosen] = sure
    vectors = np.zeros((count, 2, relations, count + 1))
    for place in range(count):
        vectors[place, 1, :, place] = 1.0
        vectors[place, 0, :, :count] = -3.0
    for (head, relation, tail), score in (pairs or {}).items():
        vectors[head, 0, relation, tail] = score
    vectors[:, 0, :, :count] *= np.sqrt(count)
    return np.concatenate([rows, vectors.reshape(count, -1)], axis=1)


def find(rows: np.ndarray, names: Names = NAMES) -> Found:
    return triples.find([rows], [PLACES[: len(rows)]], names)[0]


def test_entities_and_relations_are_found() -> None:
    found = find(words(B_PER, OUTSIDE, B_LOC, OUTSIDE, B_LOC, pairs={(0, 0, 2): 3.0, (0, 1, 4): 1.0}))
    assert found.entities == (ANN, ROME, OSLO)
    assert found.scores == pytest.approx([0.9] * 3)
    assert found.triples() == {(ANN, "in", ROME), (ANN, "near", OSLO)}
    assert found.held() == [
        Held(0, 1, "in", pytest.approx(expit(3.0))),
        Held(0, 2, "near", pytest.approx(expit(1.0))),
    ]
    assert found.relations[0, 2, 0] == pytest.approx(expit(-3.0))
    assert not found.relations[np.diag_indices(3)].any()


def test_a_pair_may_have_several_relations_and_both_directions() -> None:
    rows = words(B_PER, OUTSIDE, B_LOC, pairs={(0, 0, 2): 2.0, (0, 1, 2): 2.0, (2, 1, 0): 2.0})
    assert find(rows).triples() == {(ANN, "in", ROME), (ANN, "near", ROME), (ROME, "near", ANN)}


def test_an_entity_of_several_words_has_the_mean_of_their_vectors() -> None:
    rows = words(B_PER, I_PER, B_LOC, pairs={(0, 0, 2): 4.0, (1, 0, 2): -1.0})
    found = find(rows)
    assert found.entities == (Span(0, 6, "PER"), ROME)
    assert found.relations[0, 1, 0] == pytest.approx(expit(1.5))


def test_tags_that_may_not_follow_each_other_never_do() -> None:
    found = find(words(OUTSIDE, I_LOC, B_PER))
    assert [span.type for span in found.entities][-1] == "PER"
    assert all(span.start in {start for start, _ in PLACES} for span in found.entities)
    assert find(words(OUTSIDE, OUTSIDE)).entities == ()
    assert triples.find([np.zeros((0, 5 + 2 * 2 * 2))], [[]], NAMES)[0].triples() == set()


def test_patterns_restrict_what_may_hold() -> None:
    rows = words(B_PER, OUTSIDE, B_LOC, pairs={(0, 0, 2): 3.0, (2, 0, 0): 3.0, (0, 1, 2): 3.0})
    only = Names(NAMES.types, NAMES.relations, (Pattern("PER", "in", "LOC"),))
    found = find(rows, only)
    assert found.triples() == {(ANN, "in", ROME)}
    assert len(found.held(0.0)) == 1
    assert find(rows).triples() > found.triples()


def some() -> Found:
    chance = np.random.default_rng(0)
    return Found((ANN, ROME, OSLO), np.array([0.9, 0.4, 0.7]), chance.random((3, 3, 2)), NAMES.relations, 0.3)


def test_thresholds_leave_out_what_is_below() -> None:
    found = some()
    kept = found.over(0.5)
    assert kept.entities == (ANN, OSLO)
    assert kept.relations[0, 1] == pytest.approx(found.relations[0, 2])
    assert {one.score >= 0.3 for one in found.held()} == {True}
    assert len(found.held(0.9)) < len(found.held()) < len(found.held(0.0))
    assert {one.relation for one in found.only(["near"]).held(0.0)} == {"near"}
    assert found.first(2).entities == (ANN, ROME)


def test_packing_loses_nothing() -> None:
    found = some()
    for packed in (found.packed(NAMES.types), json.loads(json.dumps(found.packed(NAMES.types).tolist()))):
        again = Found.unpacked(packed, NAMES)
        assert again.entities == found.entities
        assert again.held(0.0) == found.held(0.0)
        assert (again.scores == found.scores).all()
        assert again.threshold == 0.3
    empty = found.first(0)
    assert Found.unpacked(empty.packed(NAMES.types).tolist(), NAMES).triples() == set()


def test_what_a_caller_is_told() -> None:
    told = find(words(B_PER, OUTSIDE, B_LOC, pairs={(0, 0, 2): 1.0, (0, 1, 2): 2.0})).told(TEXT)
    ann = {"start": 0, "end": 3, "type": "PER", "text": "Ann"}
    rome = {"start": 7, "end": 11, "type": "LOC", "text": "Rome"}
    assert [(one["head"], one["relation"], one["tail"]) for one in told["triples"]] == [
        (ann, "near", rome),
        (ann, "in", rome),
    ]
    assert told["triples"][0]["score"] == pytest.approx(expit(2.0))
    assert told["entities"] == [{**entity, "score": pytest.approx(0.9)} for entity in (ann, rome)]


def with_scores(*scores: tuple[float, bool]) -> tuple[list[Found], list[set[Triple]]]:
    """One text for each score of a relation that is there or not."""
    found, gold = [], []
    for score, right in scores:
        relations = np.zeros((2, 2, 2))
        relations[0, 1, 0] = score
        found.append(Found((ANN, ROME), np.ones(2), relations, NAMES.relations))
        gold.append({(ANN, "in", ROME)} if right else set())
    return found, gold


def test_the_threshold_with_the_best_f1_is_found() -> None:
    shy = [(0.9, False), (0.4, True), (0.3, True), (0.2, True), (0.1, False)]
    assert triples.best_threshold(*with_scores(*shy)) == pytest.approx(0.15)
    bold = [(0.9, True), *[(0.6, False)] * 9, (0.4, False)]
    assert triples.best_threshold(*with_scores(*bold, (0.95, True))) == pytest.approx(0.75)


def test_the_default_is_kept_where_nothing_speaks_against_it() -> None:
    assert triples.best_threshold(*with_scores((0.9, False), (0.3, False))) == 0.5
    assert triples.best_threshold(*with_scores((0.0, True))) == 0.5
    assert triples.best_threshold(*with_scores((0.9, True), (0.8, True), (0.4, True))) == 0.5, "one triple is chance"
    assert triples.best_threshold(*with_scores((0.9, True), (0.4, False)), default=0.7) == 0.7


def test_the_threshold_is_the_best_of_all_tried() -> None:
    for seed in range(100):
        chance = np.random.default_rng(seed)
        found, gold = with_scores(*((float(score), bool(score > chance.random())) for score in chance.random(12)))

        def f1(threshold: float, found: list[Found] = found, gold: list[set[Triple]] = gold) -> float:
            given = [len(row.held(threshold)) for row in found]
            hits = sum(bool(count and truth) for count, truth in zip(given, gold, strict=True))
            return 2 * hits / max(1, sum(given) + sum(map(len, gold)))

        if any(gold):
            best = max(f1(row.relations.max()) for row in found)
            chosen = triples.best_threshold(found, gold)
            assert f1(chosen) >= best - 1 / sum(map(len, gold)) - 1e-9
            assert chosen == 0.5 or f1(chosen) == pytest.approx(best)


def test_how_far_a_reading_has_moved() -> None:
    found = some()
    assert triples.moved(found, found) == 0
    shifted = Found(found.entities, found.scores - [0.1, 0, 0], found.relations, found.names)
    assert triples.moved(found, shifted) == pytest.approx(0.1)
    shifted = Found(found.entities, found.scores, found.relations + 0.2 * np.eye(3)[:, [1, 0, 2], None], found.names)
    assert triples.moved(found, shifted) == pytest.approx(0.2)
    assert triples.moved(found, found.first(2)) == pytest.approx(0.7)
    assert triples.moved(found.first(0), found.first(0)) == 0
