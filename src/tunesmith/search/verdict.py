"""Whether the winner of a search is better than the defaults, beyond what another seed does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Verdict:
    """The winner against the defaults, each trained with the same seeds.

    Args:
        metric: the score.
        split: the rows that it was measured on.
        rows: how many they are.
        seeds: of the pairs of runs.
        defaults: score of the defaults with each seed.
        winner: score of the winner with each seed.
        gain: mean of the differences; above 0 where the winner is better.
        interval: 95% interval of the gain over seeds (Student's t of the paired differences); None with one pair.
        words: the same in a sentence.
    """

    metric: str
    split: str
    rows: int
    seeds: tuple[int, ...]
    defaults: tuple[float, ...]
    winner: tuple[float, ...]
    gain: float
    interval: tuple[float, float] | None
    words: str

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.interval is not None and self.interval[0] > 0


def judge(
    defaults: Mapping[int, float], winner: Mapping[int, float], *, metric: str, split: str, rows: int, sign: int = 1
) -> Verdict | None:
    """Compare scores by seed; only seeds that both were trained with count. None where there is no such seed.

    Args:
        defaults: score of the defaults by seed.
        winner: score of the winner by seed.
        metric: what the scores are.
        split: which rows they were measured on.
        rows: how many.
        sign: 1 where a higher score is better, else -1.

    >>> judge({1: 0.80, 2: 0.81, 3: 0.80}, {1: 0.85, 2: 0.86, 3: 0.86}, metric="f1", split="test", rows=9).words
    'the winner is better than the defaults beyond seed noise: f1 +0.0533 [+0.0390, +0.0677] over 3 seeds'
    """
    seeds = tuple(sorted(set(defaults) & set(winner)))
    if not seeds:
        return None
    gains = [sign * (winner[seed] - defaults[seed]) for seed in seeds]
    gain = sum(gains) / len(gains)
    interval = _interval(gains)
    return Verdict(
        metric=metric,
        split=split,
        rows=rows,
        seeds=seeds,
        defaults=tuple(defaults[seed] for seed in seeds),
        winner=tuple(winner[seed] for seed in seeds),
        gain=gain,
        interval=interval,
        words=_words(metric, gain, interval, len(seeds), split),
    )


def _interval(gains: list[float]) -> tuple[float, float] | None:
    from scipy import stats

    count = len(gains)
    if count < 2:
        return None
    mean = sum(gains) / count
    deviation = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / (count - 1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * deviation / math.sqrt(count)
    return mean - reach, mean + reach


def _words(metric: str, gain: float, interval: tuple[float, float] | None, count: int, split: str) -> str:
    if interval is None:
        return f"one seed says nothing of noise: {metric} {gain:+.4f}"
    numbers = f"{metric} {gain:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}] over {count} seeds"
    unfair = (
        "" if split == "test" else "; measured on the validation rows, by which it was chosen, for want of test rows"
    )
    if interval[0] > 0:
        return f"the winner is better than the defaults beyond seed noise: {numbers}{unfair}"
    if interval[1] < 0:
        return f"the winner is worse than the defaults beyond seed noise: {numbers}{unfair}; keep the defaults"
    return f"no gain over the defaults beyond seed noise: {numbers}{unfair}"
