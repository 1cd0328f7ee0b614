"""What cannot be decided so is refused, all at once, with what is legal."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import params
from tunesmith.decisions import options
from tunesmith.decisions.decision import Decision
from tunesmith.decisions.options import Calibrated, Decided
from tunesmith.errors import UsageError
from tunesmith.tasks.base import Target

LABELS = ("bad", "good")


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("multi-class", {}, {"calibrate": "temperature", "decide_by": "probability"}),
        ("multi-label", {}, {"calibrate": "platt", "decide_by": "f1_macro"}),
        ("regression", {}, {"calibrate": "none", "decide_by": "probability"}),
        ("triples", {}, {"calibrate": "none", "decide_by": "probability"}),
        ("multi-class", {"costs": {"bad": {"good": 5}}}, {"calibrate": "temperature", "decide_by": "cost"}),
        ("multi-label", {"calibrate": "none", "decide_by": "f1_micro"}, {"calibrate": "none", "decide_by": "f1_micro"}),
    ],
)
def test_what_is_left_open_is_chosen_and_legal(kind: str, given: dict[str, Any], expected: dict[str, str]) -> None:
    chosen = options.chosen(Decided(**given), kind)
    assert chosen == expected
    options.check(Decided(**{**given, **chosen}), kind, LABELS)


def test_words_are_only_calibrated() -> None:
    assert options.chosen(Calibrated(), "entities") == {"calibrate": "temperature"}
    with pytest.raises(UsageError, match="'platt' has no effect on a entities target"):
        options.check(Calibrated(calibrate="platt"), "entities", LABELS)


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("multi-class", {"calibrate": "platt"}, "task.calibrate: 'platt' has no effect on a multi-class target"),
        ("multi-class", {"decide_by": "f1_micro"}, "task.decide_by: 'f1_micro' has no effect"),
        ("multi-label", {"decide_by": "mcc"}, "legal here: f1_macro, f1_micro, probability, cost"),
        ("regression", {"calibrate": "temperature"}, "legal here: none"),
        ("regression", {"costs": {"bad": {}}}, "task.costs: has no effect on a regression target"),
        ("multi-class", {"decide_by": "cost"}, "there are no costs to decide by"),
        ("multi-class", {"costs": {"bda": {"good": 1}}}, "no label 'bda'\n    did you mean 'bad'?"),
        ("multi-class", {"costs": {"bad": {"god": 1}}}, "task.costs.bad: no label 'god'\n    did you mean 'good'?"),
        ("multi-label", {"costs": {"bad": {"mised": 1}}}, "no kind of mistake 'mised'\n    did you mean 'missed'?"),
        ("multi-class", {"costs": {"bad": {}}, "decide_by": "f1_macro"}, "has no effect with task.decide_by f1_macro"),
        ("multi-label", {"abstain_accuracy": 0.9}, "task.abstain_accuracy: has no effect on a multi-label target"),
    ],
)
def test_what_cannot_be_is_refused(kind: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        options.check(Decided(**given), kind, LABELS)
    assert told in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    wrong = Decided(calibrate="platt", costs={"x": {"y": 1}}, decide_by="mcc")
    assert len(list(options.problems(wrong, "multi-class", LABELS))) == 4


def test_costs_are_not_negative() -> None:
    with pytest.raises(UsageError, match=r"greater than or equal to 0"):
        params.check(Decided, {"costs": {"bad": {"good": -1}}})


def test_it_is_noted_what_was_wanted_and_is_not_seen() -> None:
    target = Target("multi-class", LABELS, decision=Decision(abstain_below=0.75))
    assert options.notes(Decided(), target) == ()
    assert options.notes(Decided(decide_by="cost", costs={"bad": {}}), target) == ()
    (why,) = options.notes(Decided(decide_by="f1_macro"), target)
    assert "no more than chance" in why
    assert options.notes(Decided(decide_by="f1_macro"), Target("multi-class", LABELS, thresholds=(0.2, 0.8))) == ()
    (why,) = options.notes(Decided(abstain_accuracy=0.9), target)
    assert "below 0.75 are withheld" in why
