"""How several values of a parameter are written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import UsageError
from tunesmith.sweeping import space
from tunesmith.tasks import chat, text_classification


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("temperature", "0:1.4:0.2", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)),
        ("temperature", "0:1:0.3", (0.0, 0.3, 0.6, 0.9)),
        ("top_p", "0.8,0.95,1", (0.8, 0.95, 1.0)),
        ("top_k", "1:100:log3", (1, 10, 100)),
        ("top_k", "2:10:4", (2, 6, 10)),
        ("typical_p", "0.2:1:lin3", (0.2, 0.6, 1.0)),
        ("early_stopping", "true,false,never", (True, False, "never")),
        ("sampler_order", '[["temperature","top_p"],["top_p","temperature"]]', (("temperature", "top_p"), ("top_p", "temperature"))),
        ("top_n_sigma", "none,1", (None, 1.0)),
    ],
)  # fmt: skip
def test_values(name: str, text: str, values: tuple[Any, ...]) -> None:
    (axis,) = space.read(chat.Request, {name: text}).axes
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


def test_a_range_without_steps_is_drawn_from() -> None:
    (axis,) = space.read(chat.Request, {"top_k": "1:100:log"}).axes
    assert axis.range == space.Range(1.0, 100.0, True)
    assert axis.whole


def test_one_value_is_the_same_in_all_settings_and_lists_are_one_value() -> None:
    found = space.read(chat.Request, {"temperature": "0,1", "max_tokens": "8", "stop": "a,b"})
    assert found.fixed == {"max_tokens": 8, "stop": ("a", "b")}
    assert [axis.name for axis in found.axes] == ["temperature"]


def test_tasks_that_read_are_varied_too() -> None:
    found = space.read(text_classification.Request, {"threshold": "0.1:0.9:0.4", "windows": "mean,vote"})
    assert [axis.values for axis in found.axes] == [(0.1, 0.5, 0.9), ("mean", "vote")]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"temprature": "0,1"}, "did you mean 'temperature'"),
        ({"temperature": "1:0:0.1"}, "a range goes up: 1 is not below 0"),
        ({"temperature": "0:1:0"}, "a step is above 0"),
        ({"temperature": "0:1:x"}, "no range of numbers"),
        ({"temperature": "0:1:0.0001"}, "10,001 values"),
        ({"top_k": "0:10:log4"}, "a logarithmic range begins above 0"),
        ({"top_k": "1:10:log1"}, "1 values of a range"),
        ({"top_p": "0.5,2"}, "less than or equal to 1"),
        ({"temperature": "0:200"}, "less than or equal to 100"),
        ({"temperature": ","}, "no value"),
        ({"temperature": "0.3,,0.9"}, "no value beside a comma"),
        ({"temperature": "1"}, "nothing is varied"),
        ({}, "nothing is varied"),
    ],
)
def test_what_is_refused(texts: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")) as error:
        space.read(chat.Request, texts)
    assert "Traceback" not in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as error:
        space.read(chat.Request, {"temprature": "0,1", "top_p": "2,3", "min_p": "1:0:0.1"})
    assert {problem.where for problem in error.value.problems} == {"--temprature", "--top_p", "--min_p"}


def test_a_parameter_that_takes_a_number_or_a_mapping_may_hold_several() -> None:
    (axis,) = space.read(text_classification.Request, {"threshold": "0.3,0.9"}).axes
    assert axis.values == (0.3, 0.9)
