"""What every schedule keeps to, and the known ones against transformers' curves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from tunesmith import plugins
from tunesmith.config import Train
from tunesmith.train.optim import factor

STEPS = 200

every_schedule = pytest.mark.parametrize("name", plugins.names("train.schedules"))


def curve(**options: Any) -> list[float]:
    """Factors of the steps of a run, the first one included, where nothing is done yet."""
    train = Train(**options)
    return [factor(step / STEPS, train) for step in range(STEPS + 1)]


@every_schedule
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
def test_factors_are_shares_of_the_peak(name: str, warmup: float) -> None:
    factors = curve(schedule=name, warmup=warmup)
    assert all(0 <= value <= 1 for value in factors)
    assert max(factors) > 0.99


@every_schedule
def test_it_begins_at_the_peak_when_the_warmup_is_over(name: str) -> None:
    factors = curve(schedule=name, warmup=0.1)
    assert factors[:20] == pytest.approx([step / 20 for step in range(20)])
    assert factors[20] == pytest.approx(0.04 if name == "one-cycle" else 1)


@every_schedule
def test_nothing_lies_outside_the_run(name: str) -> None:
    train = Train(schedule=name)
    assert factor(-1, train) == factor(0, train)
    assert factor(2, train) == factor(1, train)


@pytest.mark.parametrize(
    ("ours", "theirs", "options", "their_options"),
    [
        ("constant", "constant_with_warmup", {}, {}),
        ("linear", "linear", {}, {}),
        ("cosine", "cosine", {}, {}),
        ("cosine", "cosine_with_restarts", {"cycles": 3}, {"num_cycles": 3}),
        ("polynomial", "polynomial", {"power": 2.0}, {"power": 2.0, "lr_end": 0.0}),
    ],
)
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_as_transformers_has_it(
    ours: str, theirs: str, options: dict[str, Any], their_options: dict[str, Any], warmup: float
) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = transformers.get_scheduler(
        theirs, optimizer, int(warmup * STEPS), STEPS, scheduler_specific_kwargs=their_options
    )
    expected = []
    for _ in range(STEPS + 1):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert curve(schedule=ours, warmup=warmup, **options) == pytest.approx(expected, abs=1e-6)


def test_one_cycle_rises_and_falls() -> None:
    factors = curve(schedule="one-cycle", warmup=0)
    peak = factors.index(max(factors))
    assert peak == pytest.approx(0.3 * STEPS, abs=1)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(0, abs=1e-9)


def test_inverse_sqrt_halves_in_three_warmups() -> None:
    train = Train(schedule="inverse-sqrt", warmup=0.1)
    assert factor(0.4, train) == pytest.approx(0.5)
