"""Which settings are tried, left out, and taken together."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.errors import UsageError
from tunesmith.sweeping import design, space
from tunesmith.sweeping.design import Design
from tunesmith.tasks.chat import Request


def made(texts: dict[str, str], kind: str = "grid", **more: Any) -> Design:
    return design.make(space.read(Request, texts), Request(), **{"kind": kind, "count": 16, "seed": 0, **more})


def test_a_grid_is_every_combination_with_the_defaults_first() -> None:
    found = made({"temperature": "0,0.5,1", "top_p": "0.8,1"})
    assert len(found.settings) == 6
    assert found.on_axes
    assert found.settings[0].values == {"temperature": 0.0, "top_p": 1.0}
    assert {tuple(one.values.values()) for one in found.tried} == {(t, p) for t in (0, 0.5, 1) for p in (0.8, 1)}


def test_settings_that_differ_in_parameters_without_effect_are_asked_once() -> None:
    found = made({"temperature": "0,0.5", "top_p": "0.8,0.9,1"})
    assert len(found.runs) == 4  # at temperature 0 the nucleus has no effect
    assert {one.run for one in found.settings if one.values["temperature"] == 0} == {0}


def test_settings_that_generation_refuses_are_left_out_by_reason() -> None:
    found = made({"temperature": "0,0.7", "n": "1,2", "num_beams": "1,2"})
    assert sum(found.left_out.values()) == 8 - len(found.settings)
    assert any("several answers at temperature 0" in reason for reason in found.left_out)
    assert any("a beam search does not draw" in reason for reason in found.left_out)
    assert all(design.refusal(one.request) is None for one in found.settings)


def test_what_the_engine_refuses_is_left_out_too() -> None:
    found = made({"temperature": "0,0.7", "min_p": "0,0.1"}, refused=lambda r: "no min_p" if r.min_p else None)
    assert found.left_out == {"no min_p": 2}


def test_nothing_left_to_ask_is_an_error() -> None:
    with pytest.raises(UsageError, match="no setting can be asked"):
        made({"n": "2,3"})


def test_defaults_that_cannot_be_asked_with_what_is_fixed_are_an_error() -> None:
    with pytest.raises(UsageError, match="the defaults with what is the same"):
        made({"n": "2", "top_p": "0.5,1"})


@pytest.mark.parametrize("kind", ["random", "sobol", "race"])
def test_designs_that_draw_stay_in_their_ranges_and_follow_from_the_seed(kind: str) -> None:
    texts = {"temperature": "0.2:1.2", "top_k": "1:100:log", "top_p": "0.8,1"}
    found = made(texts, kind)
    assert 10 <= len(found.tried) <= 16
    assert not found.on_axes
    for one in found.tried:
        assert 0.2 <= one.values["temperature"] <= 1.2
        assert 1 <= one.values["top_k"] <= 100
        assert isinstance(one.values["top_k"], int)
        assert one.values["top_p"] in (0.8, 1.0)
    assert [one.values for one in made(texts, kind).settings] == [one.values for one in found.settings]
    assert [one.values for one in made(texts, kind, seed=1).tried] != [one.values for one in found.tried]


def test_sobol_points_spread_evenly() -> None:
    found = made({"temperature": "0:1"}, "sobol")
    quarters = [int(one.values["temperature"] * 4 - 1e-9) for one in found.tried]
    assert all(quarters.count(quarter) == 4 for quarter in range(4))


def test_a_grid_needs_steps() -> None:
    with pytest.raises(UsageError, match="a grid needs the values of temperature"):
        made({"temperature": "0:1"})


def test_a_grid_that_nobody_can_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="settings"):
        made(dict.fromkeys(("min_p", "frequency_penalty", "presence_penalty"), "0:1:0.05"))
