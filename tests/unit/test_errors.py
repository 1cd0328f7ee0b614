"""The error tree: everything that is wrong is told, with what to do about it."""

from __future__ import annotations

import pytest

from tunesmith import errors
from tunesmith.errors import EngineError, Interrupted, Problem, TrainingError, TunesmithError, UsageError, did_you_mean


def subclasses(group: type[TunesmithError]) -> list[type[TunesmithError]]:
    """Those of the tree; what others make of it, such as the server's refusals, depends on what is imported."""
    children = [child for child in group.__subclasses__() if child.__module__ == TunesmithError.__module__]
    return [each for child in children for each in (child, *subclasses(child))]


def test_problem_shows_place_message_and_advice() -> None:
    assert str(Problem("is blank", "a.csv:3", "write something")) == "a.csv:3: is blank\n    write something"
    assert str(Problem("is blank")) == "is blank"


def test_error_tells_headline_and_every_problem() -> None:
    error = UsageError("2 problems", where="c.yaml", problems=(Problem("one", "--a"), Problem("two", None, "do this")))
    assert str(error) == "c.yaml: 2 problems\n  - --a: one\n  - two\n    do this"
    assert error.args == (str(error),)
    assert [problem.message for problem in error.problems] == ["one", "two"]


def test_problems_may_be_a_generator() -> None:
    error = UsageError("a problem", problems=(Problem(name) for name in ("one", "two")))
    assert len(error.problems) == 2
    assert "two" in str(error)


def test_codes_are_distinct() -> None:
    codes = [group.code for group in (TunesmithError, *subclasses(TunesmithError))]
    assert len(set(codes)) == len(codes) > 5


@pytest.mark.parametrize("group", subclasses(TunesmithError), ids=lambda group: group.__name__)
def test_exit_codes_are_the_shells(group: type[TunesmithError]) -> None:
    expected = {Interrupted: 130, TrainingError: 1, EngineError: 1}.get(group, 2)
    assert group.exit_code == expected
    assert (group.http_status >= 500) == (group in (TrainingError, EngineError))
    assert f"├── {group.__name__}" in (errors.__doc__ or "") or f"└── {group.__name__}" in (errors.__doc__ or "")


def test_nearest_name_is_offered() -> None:
    assert did_you_mean("lerning_rate", ["epochs", "learning_rate"]) == "did you mean 'learning_rate'?"
    assert did_you_mean("zzz", ["epochs", "seed"]) == "known: epochs, seed"
    assert did_you_mean("zzz", []) is None
    assert did_you_mean("zzz", [f"name{number}" for number in range(31)]) is None
    assert errors.nearest("zzz", ["epochs"]) is None
