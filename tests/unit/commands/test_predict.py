"""Inputs on the command line: texts, and JSON objects where a task reads several columns."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tunesmith import cli, predict
from tunesmith.errors import UsageError
from tunesmith.train.run import Run


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("fine film", "fine film"),
        ('{"question": "who?", "context": "Ann."}', {"question": "who?", "context": "Ann."}),
        ('{"question": "who?"}', {"question": "who?"}),
        ('{"price": 3}', '{"price": 3}'),
        ("{not JSON", "{not JSON"),
        ('["question"]', '["question"]'),
    ],
)
def test_words_are_texts_or_objects_with_columns(word: str, found: object) -> None:
    assert predict.typed(word, ("question", "context")) == found


def test_a_question_is_answered_in_each_form(run: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    made = run("questions", **{"train.max_steps": 2})
    given = {"question": "the food thing", "context": "then the soup was very fine"}
    model = made.model()
    first, second = model.answers([given, (given["question"], given["context"])])
    assert first == second
    capsys.readouterr()
    assert cli.main(["predict", str(made.folder), json.dumps(given)]) == 0
    assert json.loads(capsys.readouterr().out) == first
    with pytest.raises(UsageError, match="context is missing"):
        model.answers(["the food thing"])
    with pytest.raises(UsageError, match="no 2 texts"):
        model.answers([("a", "b", "c")])
