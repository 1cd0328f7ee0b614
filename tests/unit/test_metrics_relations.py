"""Scores of relations: labels of marked pairs as the official scorer of SemEval-2010 task 8 counts, triples as counted one by one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from tunesmith import metrics
from tunesmith.metrics import Predictions
from tunesmith.text.spans import Span

LABELS = (
    "Other",
    *(f"{name}({sides})" for name in ("Cause", "Origin", "Part") for sides in ("e1,e2", "e2,e1")),
    "Alone",
)


def predictions(gold: list[str], given: list[str], labels: tuple[str, ...] = LABELS) -> Predictions:
    number = {label: place for place, label in enumerate(labels)}
    rows = len(gold)
    return Predictions(
        "multi-class",
        labels,
        [number[label] for label in gold],
        np.full((rows, len(labels)), 1 / len(labels)),
        [number[label] for label in given],
        ["x"] * rows,
        [1] * rows,
        families=metrics.families(labels, "Other"),
    )


def official(gold: list[str], given: list[str]) -> dict[str, float]:
    """Row by row, as the task's description has it: a relation is right only in its direction, and counted in either."""
    precisions, recalls, f1s = [], [], []
    hits_of_all = pairs_of_all = 0
    for relation in ("Cause", "Origin", "Part", "Alone"):
        true = [label.startswith(relation) for label in gold]
        said = [label.startswith(relation) for label in given]
        hits = sum(one and label == other for one, label, other in zip(true, gold, given, strict=True))
        precision = hits / sum(said) if sum(said) else 0.0
        recall = hits / sum(true) if sum(true) else 0.0
        precisions.append(precision)
        recalls.append(recall)
        f1s.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        hits_of_all += hits
        pairs_of_all += sum(true) + sum(said)
    return {
        "f1_relations": sum(f1s) / 4,
        "precision_relations": sum(precisions) / 4,
        "recall_relations": sum(recalls) / 4,
        "f1_relations_micro": 2 * hits_of_all / pairs_of_all if pairs_of_all else 0.0,
    }


def test_labels_score_as_the_official_scorer_counts_in_500_cases() -> None:
    for seed in range(500):
        chance = random.Random(seed)
        known = chance.sample(LABELS, k=chance.randint(2, len(LABELS)))
        gold = chance.choices(known, k=chance.randint(1, 40))
        given = [label if chance.random() < 0.6 else chance.choice(LABELS) for label in gold]
        scores = metrics.score(predictions(gold, given))
        for name, value in official(gold, given).items():
            assert scores[name] == pytest.approx(value, abs=1e-12), (seed, name)


def test_the_wrong_direction_is_wrong_for_both() -> None:
    scores = metrics.score(predictions(["Cause(e1,e2)", "Other"], ["Cause(e2,e1)", "Other"]))
    assert scores["f1_relations"] == 0
    assert scores["accuracy"] == 0.5


def test_a_bootstrap_draw_is_the_score_of_the_resampled_rows() -> None:
    chance = random.Random(1)
    gold, given = chance.choices(LABELS, k=80), chance.choices(LABELS, k=80)
    whole = predictions(gold, given)
    low, high = metrics.intervals(whole, ["f1_relations"])["f1_relations"]
    draws = []
    for seed in range(300):
        rows = np.random.default_rng(seed).integers(0, 80, 80)
        draws.append(metrics.score(whole.take(rows))["f1_relations"])
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx([low, high], abs=0.02)


def test_families_survive_being_taken_and_joined() -> None:
    made = predictions(list(LABELS), list(LABELS))
    assert made.take(np.array([0, 1])).families == made.families
    assert made.joined(made).families == made.families
    assert made.chief[0] == "f1_relations"


def test_labels_that_are_no_relations_have_no_such_scores() -> None:
    plain = Predictions("multi-class", ("a", "b", "c"), [0], np.ones((1, 3)) / 3, [0], ["x"], [1])
    assert not [name for name in metrics.score(plain) if "relations" in name]
    assert plain.chief[0] == "f1_weighted"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("Other", "A(e1,e2)"), "Other"),
        (("no_relation", "per:title"), "no_relation"),
        (("A", "NO RELATION"), "NO RELATION"),
        (("合作", "unknown"), "unknown"),
        (("合作", "无关系"), "无关系"),
        (("A", "B"), None),
        (("Other", "none", "A"), None),
    ],
)
def test_the_label_without_a_relation_is_guessed(labels: tuple[str, ...], found: str | None) -> None:
    assert metrics.outside(labels) == found


# triples

TYPES, RELATIONS = ("PER", "ORG"), ("works", "owns", "在")


def some_triples(chance: random.Random, entities: list[Span]) -> set[tuple[Span, str, Span]]:
    pairs = [(head, tail) for head in entities for tail in entities if head != tail]
    return {(*chance.choice(pairs), chance.choice(RELATIONS)) for _ in range(chance.randint(0, 5))} if pairs else set()


def some_text(chance: random.Random) -> tuple[list[Span], set[Any]]:
    places = chance.sample(range(0, 20, 2), k=chance.randint(0, 6))
    entities = [Span(place, place + chance.randint(1, 2), chance.choice(TYPES)) for place in places]
    return entities, {(head, name, tail) for head, tail, name in some_triples(chance, entities)}


def changed(chance: random.Random, entities: list[Span], triples: set[Any]) -> tuple[list[Span], set[Any]]:
    new = {
        span: Span(
            span.start,
            span.start + chance.choice([span.end - span.start] * 5 + [1]),
            chance.choice([span.type] * 5 + list(TYPES)),
        )
        for span in entities
    }
    kept = {
        (new[head], chance.choice([name] * 4 + list(RELATIONS)), new[tail])
        for head, name, tail in sorted(triples)
        if chance.random() < 0.8
    }
    return list(new.values()), kept


def f1(pairs: list[tuple[set[Any], set[Any]]]) -> float:
    """One by one, of all rows together."""
    hits = sum(1 for gold, found in pairs for item in found if item in gold)
    total = sum(len(gold) + len(found) for gold, found in pairs)
    return 2 * hits / total if total else 0.0


def test_triples_score_as_counted_one_by_one_in_500_cases() -> None:
    perfect = 0
    for seed in range(500):
        chance = random.Random(seed)
        gold = [some_text(chance) for _ in range(chance.randint(1, 8))]
        found = [changed(chance, *row) for row in gold]
        counted = metrics.triples(
            [row[1] for row in gold],
            [row[1] for row in found],
            RELATIONS,
            gold_entities=[row[0] for row in gold],
            found_entities=[row[0] for row in found],
            texts=["x" * 24] * len(gold),
            lengths=[24] * len(gold),
        )
        scores = metrics.score(counted)
        whole = [(one[1], other[1]) for one, other in zip(gold, found, strict=True)]
        loose = [tuple({(h[:2], n, t[:2]) for h, n, t in side} for side in pair) for pair in whole]
        spans = [(set(one[0]), set(other[0])) for one, other in zip(gold, found, strict=True)]
        assert scores["f1_strict"] == pytest.approx(f1(whole), abs=1e-12), seed
        assert scores["f1_boundaries"] == pytest.approx(f1(loose), abs=1e-12), seed
        assert scores["f1_entities"] == pytest.approx(f1(spans), abs=1e-12), seed
        right = sum(len(one & other) for one, other in whole)
        assert scores["precision_strict"] == pytest.approx(right / max(1, sum(len(o) for _, o in whole)), abs=1e-12)
        assert scores["recall_strict"] == pytest.approx(right / max(1, sum(len(o) for o, _ in whole)), abs=1e-12)
        errors = sum(metrics.mistakes(counted).values())
        assert (errors == 0) == all(one == other for one, other in whole)
        perfect += errors == 0
    assert 10 < perfect < 400
