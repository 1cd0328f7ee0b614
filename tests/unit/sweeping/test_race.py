"""The race spends little where things are clear, and seldom drops what is best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.sweeping import race


def raced(
    random: np.random.Generator,
    truth: np.ndarray,
    rows: int,
    noise: float,
    *,
    binary: bool = False,
    share: float = 1.0,
) -> tuple[float, bool, bool]:
    """Share of the samples that were spent; whether the pick is surely worse than the grid's best; whether the best is left."""
    settings = len(truth)
    chances = truth[:, None] + random.normal(0, 0.2, rows) + random.normal(0, noise, (settings, rows))
    values = (random.random((settings, rows)) < chances).astype(float) if binary else chances
    alive, spent, before = list(range(settings)), 0, 0
    planned = race.looks(rows, settings, share)
    for look in planned:
        spent += len(alive) * (look.rows - before)
        before = look.rows
        alive = race.survivors(values[alive][:, :before], alive, settings, len(planned), look.keep).alive
        if len(alive) == 1:
            break
    pick = alive[int(np.argmax(values[alive][:, :before].mean(axis=1)))]
    best = int(np.argmax(values.mean(axis=1)))
    surely_worse = pick != best and race.p_better(values[best] - values[pick]) <= 0.05
    return spent / (settings * rows), surely_worse, int(np.argmax(truth)) in alive


def test_in_clear_cases_less_than_half_is_spent_and_the_pick_is_good() -> None:
    random = np.random.default_rng(0)
    truth = np.concatenate([np.linspace(0.2, 0.4, 50), np.linspace(0.45, 0.5, 10)])
    found = [raced(random, truth, 100, 0.08) for _ in range(200)]
    spent, surely_worse, best_is_left = (np.array(column) for column in zip(*found, strict=True))
    assert spent.mean() < 0.5
    assert surely_worse.mean() <= 0.05
    assert best_is_left.mean() >= 0.95


@pytest.mark.parametrize(("binary", "noise"), [(False, 0.15), (True, 0.0)])
def test_where_nothing_is_clear_the_best_is_seldom_dropped(binary: bool, noise: float) -> None:
    random = np.random.default_rng(1)
    truth = np.array([0.5] * 11 + [0.52])
    found = [raced(random, truth, 80, noise, binary=binary) for _ in range(200)]
    _, surely_worse, best_is_left = (np.array(column) for column in zip(*found, strict=True))
    assert surely_worse.mean() <= 0.05
    assert best_is_left.mean() >= 0.95


@pytest.mark.parametrize("truth", [np.linspace(0.2, 0.5, 60), np.full(60, 0.5), np.linspace(0.49, 0.51, 60)])
def test_a_share_is_never_passed_and_the_pick_is_seldom_surely_worse(truth: np.ndarray) -> None:
    random = np.random.default_rng(2)
    found = [raced(random, truth, 60, 0.15, share=0.5) for _ in range(200)]
    spent, surely_worse, _ = (np.array(column) for column in zip(*found, strict=True))
    assert spent.max() < 0.5
    assert surely_worse.mean() <= 0.05


@given(st.integers(2, 300), st.integers(2, 100), st.floats(0.1, 1))
def test_a_plan_keeps_to_its_share_or_has_one_look(rows: int, settings: int, share: float) -> None:
    plan = race.looks(rows, settings, share)
    assert [look.rows for look in plan] == sorted({look.rows for look in plan})
    assert plan[-1].rows == rows or plan[-1].keep == 1
    if plan[-1].keep == settings:
        return
    before = [race.Look(0, settings), *plan]
    spent = sum(last.keep * (look.rows - last.rows) for last, look in zip(before, plan, strict=False))
    assert spent < share * rows * settings


def test_who_is_set_aside_is_not_called_surely_worse() -> None:
    values = np.array([[1.0, 0, 1, 0], [0.0, 1, 0, 0], [1.0, 1, 1, 1], [0.0, 0, 1, 1]])
    assert race.survivors(values, [3, 5, 7, 9], 4, 1, 2) == race.Left([3, 7], 2)
    clear = np.concatenate([np.tile([[0.9], [0.1], [0.1], [0.1]], 20), np.full((4, 1), 0.5)], axis=1)
    assert race.survivors(clear, [0, 1, 2, 3], 4, 1, 2) == race.Left([0], 0)


def test_a_few_equal_differences_are_no_proof() -> None:
    assert race.p_better(np.ones(5)) == pytest.approx(1 / 32)
    assert race.p_better(np.zeros(5)) == 1
    assert race.p_better(-np.ones(5)) == 1
    assert race.p_better(np.ones(1)) == 1


def test_looks_end_with_all_rows_and_begin_where_a_test_can_tell() -> None:
    found = race.looks(100, 60)
    assert found[-1] == race.Look(100, 60)
    assert 0.5 ** found[0].rows <= race.ALPHA / 8 / 59
    assert race.looks(10, 60) == (race.Look(10, 60),)
    assert race.looks(16, 2)[-1].rows == 16


def test_a_race_is_settled_when_nothing_left_could_matter_and_seldom_wrongly() -> None:
    random = np.random.default_rng(4)
    rows = random.normal(0, 1, 60)
    close = np.stack([0.5 + rows + random.normal(0, 0.02, 60) for _ in range(5)])
    assert race.is_settled(close, 0.1, 0.01, 4)
    assert not race.is_settled(close[:, :5], 0.1, 0.01, 4)
    noisy = np.stack([random.normal(0.5, 0.5, 60) for _ in range(5)])
    assert not race.is_settled(noisy, 0.1, 0.01, 4)
    wrong = 0
    for _ in range(500):  # one is better by just the margin, and the other seems to lead
        pair = np.stack([random.normal(0.5, 0.2, 40), random.normal(0.6, 0.2, 40)])
        wrong += int(pair[0].mean() > pair[1].mean() and race.is_settled(pair, 0.1, 0.05, 1))
    assert wrong <= 0.05 * 500
