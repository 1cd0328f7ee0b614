"""The learning-rate range test: the rate rises step by step, and the loss tells where it helps and where it harms.

After Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3; that the rate is to lie an order of
magnitude below the one with the lowest loss is the habit of fastai.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith import config as configs
from tunesmith import plugins
from tunesmith.config import Config
from tunesmith.data.prepare import prepare
from tunesmith.errors import UsageError
from tunesmith.train import learner, optim, run, step, track
from tunesmith.train.journal import Journal
from tunesmith.train.loop import Loop

_DIVERGED = 3.0
"""A smoothed loss that many times the lowest ends the test."""

_SMOOTHING = 0.9
_BELOW_LOWEST = 10.0
_LEAST_FALL = 0.02


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Args:
        rates: learning rate of the base model in each step; the head's keeps its ratio to it.
        losses: loss of each step before its update.
        smoothed: their moving average, corrected for its start.
        planned: the rate that the config gives.
        suggested: a tenth of the rate where the smoothed loss was lowest; None where it did not fall.
        diverged: whether the loss rose so far that the test ended before its last step.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    planned: float
    suggested: float | None
    diverged: bool

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @property
    def lowest(self) -> float:
        """The rate where the smoothed loss was lowest."""
        count = len(self.rates)
        return self.rates[min(range(_settled(count), count), key=lambda place: self.smoothed[place])]


def range_test(config: Config, low: float = 1e-6, high: float = 1e-1, steps: int = 100) -> RangeTest:
    """Train a copy of the base model for some steps, each with a higher learning rate than the one before.

    Args:
        config: of the run; it is not changed, and its folder is left alone.
        low: rate of the first step.
        high: rate of the last one.
        steps: how many; they go through the training rows as the run does, more than once where there are few.

    Raises:
        UsageError: the bounds are not in order.
        TunesmithError: whatever the run would stop at.
    """
    if not 0 < low < high:
        raise UsageError(f"rates from {low:g} to {high:g} do not rise", where="low", hint="legal: 0 < low < high")
    with tempfile.TemporaryDirectory(prefix="tunesmith-rates-") as folder:
        loop = _loop(config, Path(folder))
        return _raised(loop, low, high, steps)


def _loop(config: Config, folder: Path) -> Loop:
    """The loop of a run that is about to make its first step."""
    config = configs.fill(config, track={"to": ()})
    accelerator, journal = track.start(config, folder), Journal(folder / "log.jsonl", quiet=True)
    splits = prepare(config, plugins.load("tasks", config.task_name)(config.task), folder / "data")
    splits.stop_on_errors()
    learned = learner.build(config, splits, folder / "rows", journal)
    return Loop(run.job_of(learned, folder / run.WORK, journal, accelerator, time.monotonic()))


def _raised(loop: Loop, low: float, high: float, steps: int) -> RangeTest:
    planned = loop.train.learning_rate
    assert planned is not None
    loop.begin_random()
    loop.job.network.train()
    rates, losses, averages = list[float](), list[float](), list[float]()
    diverged = False
    for number in range(steps):
        rates.append(low * (high / low) ** (number / max(1, steps - 1)))
        optim.set_rates(loop.optimizer, rates[-1] / planned)
        loss, norm = step.gradients(loop.work, loop.batch_of(number), loop.micro_tokens, number)
        losses.append(loss)
        averages = smoothed(losses)
        diverged = not math.isfinite(loss + norm) or averages[-1] > _DIVERGED * min(averages)
        if diverged:
            break
        loop.update()
    if diverged:  # the last loss may be no number
        rates, losses, averages = rates[:-1], losses[:-1], averages[:-1]
    if not rates:
        raise UsageError("the very first loss is not a finite number", hint="look at the data: tunesmith check")
    return RangeTest(tuple(rates), tuple(losses), tuple(averages), planned, suggestion(rates, averages), diverged)


def smoothed(losses: Sequence[float], share: float = _SMOOTHING) -> list[float]:
    """The moving average of losses, each old one counting a share of the one after it, corrected for its start.

    >>> smoothed([2.0, 2.0, 2.0])
    [2.0, 2.0, 2.0]
    """
    found, mean = [], 0.0
    for number, loss in enumerate(losses, 1):
        mean = share * mean + (1 - share) * loss
        found.append(round(mean / (1 - share**number), 12))
    return found


def suggestion(rates: Sequence[float], averages: Sequence[float]) -> float | None:
    """A tenth of the rate with the lowest smoothed loss; None where that is not clearly below the first losses.

    >>> suggestion([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.5, 1.0, 3.0])
    0.001
    """
    settled = _settled(len(averages))
    place = min(range(settled, len(averages)), key=lambda one: averages[one])
    first = sum(averages[:settled]) / settled if settled else math.inf
    return rates[place] / _BELOW_LOWEST if averages[place] < (1 - _LEAST_FALL) * first else None


def _settled(count: int) -> int:
    """Steps before which the moving average is still that of a few losses: a fifth of all, the last one never."""
    return min(max(1, count // 5), count - 1)
