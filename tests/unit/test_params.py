"""A parameter is declared once, and everything else follows."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.params import Choices, Interval, Params, Range, Seconds, param


class Inner(Params):
    rate: float = param(0.1, "A rate.", gt=0, le=1, search=Range(0.01, 1, log=True))
    optimizer: str = param("adamw", "An optimizer.", plugin="train.optimizers", search=Choices(("adamw", "lion")))


class Outer(Params):
    inner: Inner = Inner()
    mode: Literal["fast", "slow"] | dict[str, int] = param("fast", "A mode.")
    words: tuple[str, ...] = param((), "Words.", positional=True)
    as_json: bool = param(False, "JSON.", name="json")
    limit: int | None = param(None, "A limit.", ge=1)


class Demanding(Params):
    file: str = param(..., "A file to read.", positional=True)


def problems(
    group: type[Params], values: dict, origins: dict | None = None
) -> list[tuple[str | None, str, str | None]]:
    with pytest.raises(UsageError) as caught:
        params.check(group, values, origins)
    return [(problem.where, problem.message, problem.hint) for problem in caught.value.problems]


def test_leaves_carry_the_whole_declaration() -> None:
    leaves = {leaf.path: leaf for leaf in params.leaves(Outer)}
    assert list(leaves) == ["inner.rate", "inner.optimizer", "mode", "words", "json", "limit"]
    rate = leaves["inner.rate"]
    assert (rate.flag, rate.environment) == ("--inner.rate", "TUNESMITH_INNER_RATE")
    assert (rate.help, rate.default, rate.legal) == ("A rate.", 0.1, "number > 0 and <= 1")
    assert rate.search == Range(0.01, 1, log=True)
    assert leaves["inner.optimizer"].search == Choices(("adamw", "lion"))
    assert "adafactor" in leaves["inner.optimizer"].choices
    assert leaves["mode"].legal == "one of fast, slow or mapping"
    assert leaves["words"].positional
    assert not rate.positional
    assert not rate.required
    assert next(params.leaves(Demanding)).required


def test_good_values_are_converted_and_frozen() -> None:
    made = params.check(Outer, {"inner": {"rate": "3e-1"}, "words": ["a"], "json": "yes", "limit": "7"})
    assert (made.inner.rate, made.words, made.as_json, made.limit) == (0.3, ("a",), True, 7)
    with pytest.raises(ValidationError, match="frozen"):
        made.limit = 3  # type: ignore[misc]


def test_all_problems_are_told_at_once_with_their_origins() -> None:
    values = {"inner": {"rate": 2, "optimiser": "sgd"}, "mode": "quick", "words": [1, 2], "limit": 0}
    origins = {"inner.rate": "c.yaml:3", "inner.optimiser": "c.yaml:4", "mode": "--mode", "words": "WORDS"}
    assert problems(Outer, values, origins) == [
        ("c.yaml:3", "inner.rate = 2: Input should be less than or equal to 1", "legal: number > 0 and <= 1"),
        ("c.yaml:4", "unknown parameter 'inner.optimiser'", "did you mean 'inner.optimizer'?"),
        (
            "--mode",
            "mode = 'quick': Input should be 'fast' or 'slow'; or Input should be a valid dictionary",
            "legal: one of fast, slow or mapping",
        ),
        ("WORDS", "words = 1: Input should be a valid string", "legal: list"),
        (None, "limit = 0: Input should be greater than or equal to 1", "legal: whole number >= 1 or none"),
    ]


def test_headline_counts_problems() -> None:
    with pytest.raises(UsageError, match=r"^1 problem with"):
        params.check(Outer, {"limit": 0})
    with pytest.raises(UsageError, match=r"^2 problems with"):
        params.check(Outer, {"limit": 0, "mode": "x"})


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"rate": 1}, "unknown parameter 'rate'", "did you mean 'inner.rate'?"),
        ({"ratte": 1}, "unknown parameter 'ratte'", "did you mean 'inner.rate'?"),
        ({"as_json": True}, "unknown parameter 'as_json'", "did you mean 'json'?"),
        ({"inner": {"limit": 1}}, "unknown parameter 'inner.limit'", "did you mean 'limit'?"),
        ({"iner": {"rate": 1}}, "unknown parameter 'iner'", "did you mean 'inner'?"),
        ({"zzz": 1}, "unknown parameter 'zzz'", "known: inner, mode, words, json, limit"),
        ({"inner": 3}, "inner = 3: Input should be a valid dictionary or instance of Inner", None),
        ({"inner": {"rate": True}}, "inner.rate = True: is true or false where something else is expected", None),
        ({"inner": {"rate": float("nan")}}, "inner.rate = nan: Input should be a finite number", None),
        ({"inner": {"optimizer": "adm"}}, "inner.optimizer = 'adm': no such optimizer; did you mean 'adam'?", None),
    ],
)
def test_mistakes_are_understood(values: dict, message: str, hint: str | None) -> None:
    ((_, told, advice),) = problems(Outer, values)
    assert told == message
    assert advice is not None
    assert advice == hint or hint is None


def test_an_illegal_value_is_shown_as_far_as_it_helps() -> None:
    ((_, told, _),) = problems(Outer, {"limit": list(range(1_000_000))})
    assert told == "limit = [0, 1, 2, 3, 4, 5, ...]: Input should be a valid integer"
    ((_, told, _),) = problems(Outer, {"limit": "7" * 100 + "x" * 100_000})
    assert told.startswith("limit = '" + "7" * 90)
    assert len(told) < 400


def test_origin_of_a_section_is_that_of_a_value_in_it() -> None:
    ((where, _, _),) = problems(Outer, {"iner": {"rate": 1}}, {"iner.rate": "c.yaml:2"})
    assert where == "c.yaml:2"


def test_required_parameters_are_explained() -> None:
    assert problems(Demanding, {}) == [(None, "'file' is required: A file to read.", None)]


def test_copies_are_checked() -> None:
    assert Outer(json=True).but(limit=3) == Outer(json=True, limit=3)
    with pytest.raises(UsageError, match="limit = 0"):
        Outer().but(limit=0)


def test_schema_lists_plugins_ranges_and_search() -> None:
    document = params.schema(Outer)
    inner = document["$defs"]["Inner"]["properties"]
    assert inner["rate"]["exclusiveMinimum"] == 0
    assert inner["rate"]["search"] == {"low": 0.01, "high": 1, "log": True}
    assert {"adamw", "lion"} <= set(inner["optimizer"]["enum"])
    assert document["additionalProperties"] is False
    assert "json" in document["properties"]


class Lengths(Params):
    time: Seconds = param(60, "A time.")
    longest: Seconds | None = param(None, "A time or none.")
    every: Interval = param("1 epoch", "A stretch.")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("7", 7), (7, 7)]
)
def test_times_have_units(text: object, seconds: float) -> None:
    assert params.check(Lengths, {"time": text, "longest": text}).time == seconds


@pytest.mark.parametrize("text", ["0s", "-5", "ten", "1.2.3s", "5w", True])
def test_bad_times_are_refused(text: object) -> None:
    ((_, message, hint),) = problems(Lengths, {"longest": text})
    assert message.startswith(f"longest = {text!r}: ")
    assert hint == "legal: seconds > 0, or text such as 90s, 10m, 2h, 1d or none"


@pytest.mark.parametrize("text", ["0 steps", "5", "epochs", "1.2.3 steps", "-1 epochs"])
def test_bad_intervals_are_refused(text: str) -> None:
    assert problems(Lengths, {"every": text})[0][1].startswith(f"every = {text!r}: ")


def test_intervals_in_steps() -> None:
    assert params.check(Lengths, {"every": "3 step"}).every == "3 steps"
    assert params.steps_in("0.001 epochs", 10) == 1
    assert params.steps_in("2 epochs", 10) == 20
    assert params.steps_in("7 steps", 10) == 7


def test_texts_of_a_group() -> None:
    read = params.read_texts(Outer, {"limit": "none", "words": "a,b", "unknown": "none"})
    assert read == {"limit": None, "words": ["a", "b"], "unknown": "none"}


class Named(Params):
    most: int | None = param(5, "Most of them.", ge=0, also="maximum")
    other: float = param(1.0, "Another.")


def test_a_second_name_is_the_same_parameter() -> None:
    assert params.check(Named, {"maximum": 3}).most == 3
    assert params.check(Named, {"maximum": 3, "most": 3}).most == 3
    assert params.read_texts(Named, {"maximum": "none"}) == {"most": None}
    assert params.by_first_name(Named, {"maximum": 3, "other": 2}) == {"most": 3, "other": 2}
    with pytest.raises(UsageError, match="maximum: 3, and most, which is the same parameter, is 4"):
        params.check(Named, {"maximum": 3, "most": 4})
    assert problems(Named, {"maximum": -1})[0][1].startswith("most = -1")
    assert "maximum" not in {leaf.path for leaf in params.leaves(Named)}


def test_values_that_are_set_apart_from_the_defaults() -> None:
    assert params.set_apart(Named()) == set()
    assert params.set_apart(Named(most=5, other=2.0)) == {"other"}
