"""What answers of every kind say, and the truths that are none."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import plugins
from tunesmith.errors import UsageError
from tunesmith.kept.forms import Form, form_of
from tunesmith.tasks.base import Target


def form(task: str, kind: str, labels: tuple[str, ...] = (), relations: tuple[str, ...] = ()) -> Form:
    module = plugins.module("tasks", task)
    return form_of(module.Task(module.Params()), Target(kind, labels, relations=relations))


LABEL = form("text-classification", "multi-class", ("good", "bad"))
LABELS = form("text-classification", "multi-label", ("a", "b"))
NUMBER = form("text-classification", "regression", ("value",))
ALIKE = form("sentence-similarity", "regression", ("score",))
PAIRS = form("sentence-similarity", "ranking", ("score",))
ENTITIES = form("token-classification", "entities", ("person", "place"))
TRIPLES = form("relation-extraction", "triples", ("person", "place"), ("lives_in",))
PIECE = form("question-answering", "answers", ("answer", "no answer"))
SUMMARY = form("summarization", "texts-summary")
CHAT = form("chat", "texts-chat")

ANA, ROME = {"start": 0, "end": 3, "type": "person"}, {"start": 7, "end": 11, "type": "place"}
LIVES = {"entities": [ANA, ROME], "relations": [{"head": 0, "tail": 1, "type": "lives_in"}]}


@pytest.mark.parametrize(
    ("of", "answer", "labels", "confidence", "number"),
    [
        (LABEL, {"label": "good", "score": 0.75}, ("good",), 0.75, None),
        (LABEL, {"label": "unknown", "score": 0.25}, ("unknown",), 0.25, None),
        (LABELS, {"labels": ["b", "a"], "scores": [0.9, 0.6]}, ("b", "a"), 0.6, None),
        (LABELS, {"labels": [], "scores": []}, (), None, None),
        (NUMBER, {"value": 2}, None, None, 2.0),
        (ALIKE, {"score": 0.5, "cosine": 0.1}, None, None, 0.5),
        (ALIKE, {}, None, None, None),
        (ENTITIES, {"entities": [{**ANA, "score": 0.9}, {**ROME, "score": 0.4}]}, ("person", "place"), 0.4, None),
        (TRIPLES, {"entities": [], "triples": []}, (), None, None),
        (PIECE, {"answer": "", "start": None, "end": None, "score": 0.3}, ("no answer",), 0.3, None),
        (SUMMARY, {"summary": "short"}, None, None, None),
    ],
)
def test_what_an_answer_says(of: Form, answer: Any, labels: Any, confidence: Any, number: Any) -> None:
    assert (of.labels(answer), of.confidence(answer), of.number(answer)) == (labels, confidence, number)


@pytest.mark.parametrize(
    ("of", "given", "truth", "row"),
    [
        (LABEL, {"text": "x"}, "bad", {"text": "x", "label": "bad"}),
        (LABELS, {"text": "x"}, ["b", "a"], {"text": "x", "label": ["a", "b"]}),
        (NUMBER, {"text": "x"}, 1, {"text": "x", "label": 1.0}),
        (ALIKE, {"text": "x", "text_pair": "y"}, 4.5, {"text": "x", "text_pair": "y", "score": 4.5}),
        (PAIRS, {"text": "x", "text_pair": "y"}, 0, {"text": "x", "text_pair": "y", "score": 0.0}),
        (ENTITIES, {"text": "Ana in Rome"}, {"entities": [ANA]}, {"text": "Ana in Rome", "entities": [ANA]}),
        (TRIPLES, {"text": "Ana in Rome"}, LIVES, {"text": "Ana in Rome", **LIVES}),
        (PIECE, {"question": "?", "context": "at noon"}, "noon",
         {"question": "?", "context": "at noon", "answers": {"text": ["noon"], "answer_start": [3]}}),
        (PIECE, {"question": "?", "context": "at noon"}, "", {"question": "?", "context": "at noon", "answers": []}),
        (SUMMARY, {"text": "long"}, "short", {"text": "long", "summary": "short"}),
        (CHAT, {"messages": "hi"}, "ho",
         {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}),
    ],
)  # fmt: skip
def test_a_truth_becomes_a_row_that_training_reads(of: Form, given: Any, truth: Any, row: Any) -> None:
    corrected = of.corrected(given, {}, truth)
    assert of.row(given, corrected) == row
    assert of.same(corrected, corrected)
    of.task.read_row(row)


@pytest.mark.parametrize(
    ("of", "truth", "part"),
    [
        (LABEL, "goood", "did you mean 'good'"),
        (LABEL, 1.0, "no label"),
        (LABELS, "a", "list of labels"),
        (LABELS, ["c"], "no label"),
        (NUMBER, "1", "no number"),
        (ENTITIES, "Ana", "list of objects"),
        (ENTITIES, [{"start": 0}], "start, end and type"),
        (ENTITIES, [{**ANA, "type": "animal"}], "no type"),
        (TRIPLES, [ANA], "entities and relations"),
        (TRIPLES, {**LIVES, "relations": [{"head": 0, "tail": 2, "type": "lives_in"}]}, "numbers of entities"),
        (TRIPLES, {**LIVES, "relations": [{"head": 0, "tail": 1, "type": "eats"}]}, "no type"),
        (PIECE, "midnight", "answer"),
        (PIECE, [1], "text of the context"),
        (SUMMARY, " ", "is a text"),
    ],
)
def test_what_is_no_truth_is_refused(of: Form, truth: Any, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        of.corrected({"context": "at noon", "question": "?", "text": "Ana in Rome"}, {}, truth)


def test_an_answer_that_was_not_sure_is_no_label() -> None:
    assert LABEL.row({"text": "x"}, {"label": "unknown"}) == {"text": "x", "label": None}


def test_words_with_tags_stay_such() -> None:
    answer = {"entities": [ANA], "tags": ["B-person", "O"], "text": "Ana in"}
    assert ENTITIES.row({"tokens": ["Ana", "in"]}, answer) == {"tokens": ["Ana", "in"], "tags": ["B-person", "O"]}
    corrected = ENTITIES.corrected({"tokens": ["Ana", "in"]}, answer, [])
    assert ENTITIES.row({"tokens": ["Ana", "in"]}, corrected) == {"text": "Ana in", "entities": []}


def test_answers_are_the_same_if_they_say_the_same() -> None:
    assert LABEL.same({"label": "good", "score": 0.6}, {"label": "good"})
    assert not LABEL.same({"label": "good"}, {"label": "bad"})
    assert LABELS.same({"labels": ["a", "b"]}, {"labels": ["b", "a"]})
    assert ENTITIES.same({"entities": [ANA, ROME]}, {"entities": [{**ROME, "score": 1}, ANA]})
    lives = TRIPLES.corrected({}, {}, LIVES)
    assert not TRIPLES.same(lives, {**lives, "triples": []})


def test_a_kind_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="cannot be read back"):
        form("chat", "pictures")
