"""Entities score as seqeval says of the same tags; relations and kinds of error as counted by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from seqeval import metrics as seqeval

from tunesmith import metrics
from tunesmith.metrics import Counted
from tunesmith.text.spans import Span

TYPES = ("PER", "LOC", "ORG", "组织")


def tagged(spans: list[Span], words: int) -> list[str]:
    """Tags of one-character words."""
    tags = ["O"] * words
    for span in spans:
        tags[span.start : span.end] = [f"B-{span.type}", *[f"I-{span.type}"] * (span.end - span.start - 1)]
    return tags


def some_spans(source: random.Random, words: int, types: tuple[str, ...]) -> list[Span]:
    found, place = [], 0
    while place < words:
        size = source.randint(1, 3)
        if source.random() < 0.3 and place + size <= words:
            found.append(Span(place, place + size, source.choice(types)))
        place += size
    return found


def changed(source: random.Random, spans: list[Span], words: int, types: tuple[str, ...]) -> list[Span]:
    """Spans as a middling model would find them."""
    found = []
    for span in spans:
        chance = source.random()
        if chance < 0.15:
            continue
        kind = source.choice(types) if chance < 0.3 else span.type
        end = span.end - 1 if 0.3 < chance < 0.45 and span.end - span.start > 1 else span.end
        found.append(Span(span.start, end, kind))
    return found if source.random() < 0.8 else some_spans(source, words, types)


def corpus(seed: int, rows: int = 8) -> tuple[list[list[Span]], list[list[Span]], list[int]]:
    source = random.Random(seed)
    types = TYPES[: source.randint(1, 4)]
    sizes = [source.randint(1, 14) for _ in range(rows)]
    gold = [some_spans(source, size, types) for size in sizes]
    return gold, [changed(source, row, size, types) for row, size in zip(gold, sizes, strict=True)], sizes


def counted(gold, found, sizes, labels=TYPES) -> Counted:
    return metrics.entities(gold, found, labels, texts=["x" * size for size in sizes], lengths=sizes)


def test_entity_scores_are_those_of_seqeval_in_500_cases():
    reports = 0
    for seed in range(500):
        gold, found, sizes = corpus(seed)
        y, z = ([tagged(row, size) for row, size in zip(rows, sizes, strict=True)] for rows in (gold, found))
        scores = metrics.score(counted(gold, found, sizes))
        for average in ("micro", "macro", "weighted"):
            for name in ("precision", "recall", "f1"):
                if not any(gold) and not any(found):
                    continue
                expected = getattr(seqeval, f"{name}_score")(y, z, average=average, zero_division=0)
                assert scores[f"{name}_{average}"] == pytest.approx(expected, abs=1e-12), (seed, name, average)
        if any(gold) or any(found):
            for digits in (2, 4):
                text = seqeval.classification_report(y, z, digits=digits, zero_division=0)
                assert metrics.classification_report(counted(gold, found, sizes), digits=digits) == text
            reports += 1
    assert reports > 400


def test_a_bootstrap_draw_is_the_score_of_the_resampled_rows():
    gold, found, sizes = corpus(3, rows=60)
    drawn = np.random.default_rng(1).integers(0, 60, 60)
    whole = counted(gold, found, sizes)
    again = counted(*([rows[row] for row in drawn] for rows in (gold, found, sizes)))
    weights = np.bincount(drawn, minlength=60)[None].astype(float)
    from tunesmith.metrics.registry import METRICS
    from tunesmith.metrics.sample import sampled

    for name, value in metrics.score(again).items():
        assert METRICS["entities", name].formula(sampled(whole, weights))[0] == pytest.approx(value, abs=1e-12), name
    assert metrics.score(whole.take(drawn)) == metrics.score(again)


def test_errors_are_counted_by_kind_once_each():
    gold = [[Span(0, 2, "PER"), Span(3, 6, "LOC"), Span(7, 9, "ORG"), Span(10, 11, "PER")]]
    found = [[Span(0, 2, "ORG"), Span(3, 5, "LOC"), Span(7, 9, "ORG"), Span(12, 13, "LOC")]]
    made = counted(gold, found, [14])
    assert metrics.mistakes(made) == {"wrong type": 1, "wrong boundaries": 1, "missed": 1, "invented": 1}
    assert made.errors.tolist() == [4]
    labels = made.labels
    assert made.column("wrong type")[0].tolist() == [label == "PER" for label in labels], "told of the right type"
    assert made.column("invented")[0].tolist() == [label == "LOC" for label in labels]
    assert metrics.score(made)["f1_boundaries"] == pytest.approx(2 * 2 / 8), "spans (0, 2) and (7, 9)"
    assert made.targets == ["xx [PER] · xxx [LOC] · xx [ORG] · x [PER]"]


def test_one_long_answer_stands_for_one_entity_only():
    made = counted([[Span(0, 2, "PER"), Span(2, 4, "PER")]], [[Span(0, 4, "PER")]], [4])
    assert metrics.mistakes(made) == {"wrong type": 0, "wrong boundaries": 1, "missed": 1, "invented": 0}


def test_kinds_of_error_add_up():
    for seed in range(100):
        gold, found, sizes = corpus(seed)
        made = counted(gold, found, sizes)
        errors = {name: made.column(name).sum() for name in metrics.mistakes(made)}
        near = errors["wrong type"] + errors["wrong boundaries"]
        assert made.column("hits").sum() + near + errors["missed"] == sum(map(len, gold))
        assert made.column("hits").sum() + near + errors["invented"] == sum(map(len, found))


def test_a_type_that_only_the_rows_know_counts_as_seqeval_counts_it():
    gold, found = [[Span(0, 1, "DATE"), Span(2, 3, "PER")]], [[Span(2, 3, "PER")]]
    made = counted(gold, found, [3], labels=("PER", "LOC"))
    assert made.labels == ("PER", "LOC", "DATE")
    assert metrics.score(made)["f1_macro"] == pytest.approx(0.5)


def test_texts_without_any_entity_score_zero_and_warn_nobody():
    made = counted([[], []], [[], []], [3, 4])
    assert set(metrics.score(made).values()) == {0.0}
    assert "micro avg" in metrics.classification_report(made)
    assert metrics.intervals(made, ["f1_micro"], resamples=20)["f1_micro"] == (0, 0)


def test_the_table_of_types_counts_entities():
    gold, found, sizes = corpus(5, rows=40)
    table = {row.label: row for row in metrics.label_table(counted(gold, found, sizes))}
    assert sum(row.support for row in table.values()) == sum(map(len, gold))
    assert sum(row.predicted for row in table.values()) == sum(map(len, found))


BERLIN, GERMANY, PARIS = Span(0, 6, "LOC"), Span(10, 17, "LOC"), Span(20, 25, "LOC")


def related(gold, found, gold_entities, found_entities, labels=("in", "near")) -> Counted:
    text = "Berlin in Germany, ∙Paris"
    return metrics.triples(
        [gold],
        [found],
        labels,
        gold_entities=[gold_entities],
        found_entities=[found_entities],
        texts=[text],
        lengths=[5],
    )


def test_strict_triples_need_types_and_boundary_triples_do_not():
    gold = [(BERLIN, "in", GERMANY), (PARIS, "near", GERMANY)]
    mistyped = Span(0, 6, "PER")
    made = related(gold, [(mistyped, "in", GERMANY), gold[1]], [BERLIN, GERMANY, PARIS], [mistyped, GERMANY, PARIS])
    scores = metrics.score(made)
    assert scores["f1_strict"] == pytest.approx(1 / 2)
    assert scores["f1_boundaries"] == 1
    assert scores["f1_entities"] == pytest.approx(2 / 3)
    assert scores["f1_macro"] == pytest.approx(1 / 2)
    assert {name: count for name, count in metrics.mistakes(made).items() if count} == {"wrong entity type": 1}
    assert made.targets == ["Berlin [LOC] →in→ Germany [LOC] · Paris [LOC] →near→ Germany [LOC]"]


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ((BERLIN, "near", GERMANY), "wrong relation"),
        ((Span(0, 3, "LOC"), "in", GERMANY), "wrong boundaries"),
        ((GERMANY, "in", BERLIN), "missed and invented"),
    ],
)
def test_kinds_of_error_of_a_relation(found, error):
    made = related([(BERLIN, "in", GERMANY)], [found], [BERLIN, GERMANY], [BERLIN, GERMANY])
    assert {name for name, count in metrics.mistakes(made).items() if count} == set(error.split(" and "))


def test_a_relation_report_has_types_averages_boundaries_and_entities():
    made = related([(BERLIN, "in", GERMANY)], [(BERLIN, "in", GERMANY)], [BERLIN, GERMANY], [BERLIN])
    lines = [line.split() for line in metrics.classification_report(made).splitlines()]
    assert ["in", "1.0000", "1.0000", "1.0000", "1"] in lines
    assert ["entities", "1.0000", "0.5000", "0.6667", "2"] in lines


def test_paired_test_of_entities_and_refusal_of_other_rows():
    gold, found, sizes = corpus(7, rows=200)
    worse, better = counted(gold, found, sizes), counted(gold, gold, sizes)
    result = metrics.paired_test(worse, better, "f1_micro", resamples=200)
    assert result.p_value < 0.01
    assert result.b == 1
    assert metrics.fingerprint(worse) == metrics.fingerprint(better)
    with pytest.raises(ValueError, match="same rows"):
        metrics.paired_test(worse, counted(found, gold, sizes), "f1_micro")


def test_misshapen_counts_are_refused():
    with pytest.raises(ValueError, match="expected shape"):
        Counted("ranking", np.zeros((2, 3)), ["a", "b"], ["a", "b"], ["a", "b"], [1, 1], [0, 0])
    with pytest.raises(ValueError, match="finite"):
        Counted("ranking", np.full((1, 5), np.nan), ["a"], ["a"], ["a"], [1], [0])
    with pytest.raises(ValueError, match="do not fit"):
        Counted("ranking", np.zeros((1, 5)), ["a"], ["a"], ["a", "b"], [1], [0])
