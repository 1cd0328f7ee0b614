"""A parameter without effect is called inert, one with effect is not, and what cannot be told is not told."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tunesmith.sweeping import levels
from tunesmith.sweeping.found import Effect

GRID = [{"a": a, "b": b} for a, b in itertools.product((0.0, 0.5, 1.0), (1, 2))]


def effects(values: np.ndarray, settings: list[dict[str, Any]] = GRID, margin: float = 0.1) -> dict[str, Effect]:
    found = levels.effects(
        list(settings[0]), settings, {"a": 0.0, "b": 1}, values, {}, margin=margin, random=np.random.default_rng(0)
    )
    return {one.parameter: one for one in found}


def grid_of(random: np.random.Generator, rows: int, effect: float, noise: float = 0.3) -> np.ndarray:
    """a changes the values, b does not; rows differ, for all settings alike."""
    truth = np.array([effect * one["a"] for one in GRID])
    return np.asarray(truth[:, None] + random.normal(0, 3, rows) + random.normal(0, noise, (len(GRID), rows)))


def test_contrasts_of_a_balanced_grid_are_differences_of_means() -> None:
    values = grid_of(np.random.default_rng(7), 30, 1.0)
    found = effects(values)["a"]
    mean = {level: values[[one["a"] == level for one in GRID]].mean() for level in (0.0, 0.5, 1.0)}
    assert [level.value for level in found.levels] == ["0", "0.5", "1"]
    assert found.levels[2].effect.estimate == pytest.approx(mean[1.0] - mean[0.0])
    assert found.levels[2].effect.low < 1 < found.levels[2].effect.high


def test_inert_and_effective_parameters_are_told_apart() -> None:
    """Over 100 constructed studies: the power is what is stated, false claims are rare."""
    random, verdicts, power = np.random.default_rng(1), [], []
    for _ in range(100):
        found = effects(grid_of(random, 60, 0.5))
        verdicts.append((found["a"].verdict, found["b"].verdict))
        power.append(found["b"].power)
    first, second = zip(*verdicts, strict=True)
    assert first.count("effect") == 100
    assert second.count("effect") <= 0.05 * 100 + 5
    assert second.count("inert") / 100 == pytest.approx(np.mean(power), abs=0.1)


def test_an_effect_as_large_as_the_margin_is_seldom_called_inert() -> None:
    random = np.random.default_rng(2)
    found = [effects(grid_of(random, 60, 0.2), margin=0.1)["a"].verdict for _ in range(100)]
    assert found.count("inert") <= 0.05 * 100 + 4


def test_too_few_rows_cannot_tell_and_say_how_many_could() -> None:
    found = effects(grid_of(np.random.default_rng(3), 5, 0.0, noise=1.0))["a"]
    assert found.verdict == "cannot tell"
    assert found.needed_rows is not None
    assert found.needed_rows > 100
    assert effects(grid_of(np.random.default_rng(3), 1, 0.0))["a"].verdict == "cannot tell"


def test_no_difference_at_all_is_inert() -> None:
    found = effects(np.tile(np.random.default_rng(4).normal(size=8), (6, 1)))
    assert {one.verdict for one in found.values()} == {"inert"}
    assert {level.p_value for one in found.values() for level in one.levels} == {1.0}  # rounding is no effect
    assert {level.effect.low for one in found.values() for level in one.levels} == {0.0}


def test_settings_that_were_left_out_do_not_make_others_look_different() -> None:
    settings = [one for one in GRID if one != {"a": 1.0, "b": 2}]
    rows = np.random.default_rng(5).normal(0, 1, 20)
    values = np.stack([one["a"] + 2 * one["b"] + rows for one in settings])
    found = effects(values, settings)
    assert [level.effect.estimate for level in found["b"].levels] == pytest.approx([0, 2])
    assert [level.effect.estimate for level in found["a"].levels] == pytest.approx([0, 0.5, 1])


def test_many_drawn_values_are_taken_in_parts() -> None:
    random = np.random.default_rng(6)
    settings = [{"a": float(value)} for value in random.random(40)]
    values = np.array([[one["a"]] for one in settings]) + random.normal(0, 0.05, (40, 30))
    (found,) = levels.effects(["a"], settings, {"a": None}, values, {}, margin=0.1, random=np.random.default_rng(0))
    assert len(found.levels) == 4
    assert " to " in found.levels[0].value
    assert found.verdict == "effect"
    assert [level.effect.estimate for level in found.levels] == sorted(level.effect.estimate for level in found.levels)


def test_values_that_are_no_numbers_keep_their_order() -> None:
    group = levels.grouped(["vote", "mean", "vote", None], "mean")
    assert group.names == ("vote", "mean", "none")
    assert group.reference == 1
    assert group.middles == (None, None, None)
