"""The learning-rate range test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import cli
from tunesmith.config import Config
from tunesmith.errors import UsageError
from tunesmith.planning import rates, rates_page
from tunesmith.planning.rates import RangeTest


def test_it_finds_where_the_loss_falls_and_where_it_rises(config: Callable[..., Config]) -> None:
    found = rates.range_test(config("binary", **{"train.warm_start": False}), 1e-5, 10.0, 60)
    assert found.rates[0] == pytest.approx(1e-5)
    steps = [later / earlier for earlier, later in zip(found.rates, found.rates[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps))
    assert found.planned == 3e-3


def test_the_same_config_gives_the_same_test(config: Callable[..., Config]) -> None:
    one, other = (rates.range_test(config("entities"), 1e-5, 1e-2, 6) for _ in range(2))
    assert one == other


def test_it_ends_where_the_loss_explodes() -> None:
    averages = rates.smoothed([1.0] * 5 + [100.0])
    assert averages[-1] > 3


def test_a_low_first_loss_is_not_taken_for_the_lowest() -> None:
    averages = [0.5, 1.0, 1.2, 1.1, 1.0, 0.9, 0.6, 0.55, 0.7, 3.0]
    assert rates.suggestion([10.0**place for place in range(10)], averages) == 1e6
    assert rates.suggestion([10.0**place for place in range(10)], [0.5, *[2.0] * 9]) is None


def test_without_a_fall_nothing_is_suggested() -> None:
    assert rates.suggestion([1e-4, 1e-3, 1e-2], [1.0, 1.0, 1.2]) is None


def test_rates_must_rise(config: Callable[..., Config]) -> None:
    with pytest.raises(UsageError, match="do not rise"):
        rates.range_test(config(), 1e-2, 1e-3)


@pytest.mark.parametrize("suggested", [1e-4, None])
def test_page_and_line_show_it(suggested: float | None) -> None:
    test = RangeTest((1e-5, 1e-4, 1e-3), (2.0, 1.0, 4.0), (2.0, 1.5, 4.0), 1e-3, suggested, True)
    page, line = rates_page.page(test, "reviews"), rates_page.text(test)
    assert "<svg" in page
    assert "reviews" in page
    assert ">0.0001<" in page, "rates stand below the axis as people write them"
    assert "mathdefault" not in page
    assert ("--train.learning_rate 0.0001" in line) == (suggested is not None)
    assert "▁" in line
    assert "diverged" in line


def test_the_command_writes_a_page_and_changes_nothing(
    parameters: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"--{name}={value}" for name, value in parameters("binary").items()]
    assert cli.main(["lr-range", *words, "--steps", "8", "--page", "rates.html", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rates"]) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["rates.html"]
