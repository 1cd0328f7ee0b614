"""What a study found, as values: effects with intervals over seeds, interactions, and what may be said of them.

Every combination is trained with the same seeds, so that a difference between two values of a parameter is taken seed by
seed, over all combinations of the others that both were trained with. Its interval is Student's t over these differences
(the seeds are the sample; combinations of one seed share its order of rows and its noise). A parameter matters where an
interval that is corrected for the number of comparisons (Holm 1979) leaves out nought; it is inert where all intervals of
90 % lie within the margin (two one-sided tests, Schuirmann 1987); else nothing can be said with so few seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tunesmith.effects import corrections, equivalence, variance
from tunesmith.effects.equivalence import Equivalence

SEED = "train.seed"
CONFIDENCE = 0.95

Verdict = Literal["matters", "inert", "cannot tell"]


@dataclass(frozen=True)
class Trained:
    """A combination that was trained: its values by dotted name, its seed, its score, and how long it took."""

    values: Mapping[str, Any]
    seed: int
    score: float
    seconds: float


@dataclass(frozen=True)
class Level:
    """A value of a parameter.

    Args:
        value: the value.
        score: mean over all that was trained with it.
        seconds: that a training with it took, on average.
        gain: by how much it is better than the default's value; 0 for that itself.
        interval: 95 % interval of the gain over seeds; None where it is the default's value.
        p_value: of no gain at all, corrected for all comparisons of the study.
        seeds: that both were trained with.
    """

    value: Any
    score: float
    seconds: float
    gain: float = 0.0
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Effect:
    """What a parameter does.

    Args:
        parameter: its dotted name.
        default: the value that the others are held against.
        levels: of its values.
        share: of the variation between combinations that it explains by itself; None: not known.
        verdict: what may be said.
        words: the same in a sentence.
    """

    parameter: str
    default: Any
    levels: tuple[Level, ...]
    share: float | None
    verdict: Verdict
    words: str


@dataclass(frozen=True)
class Found:
    """What a study found.

    Args:
        metric: the validation score.
        sign: 1 where more of it is better, else -1.
        seeds: with which combinations were trained.
        rows: all that was trained.
        wanted: how many trainings the whole study has.
        effects: of each parameter, the one that explains most first.
        interactions: share of the variation that two parameters explain together beyond each by itself.
        best: the combination with the best mean score over all seeds.
        margin: below which effects are called none.
        failed: trainings that failed, with the reasons.
        notes: what the reader should know.
        seconds: wall time of this call.
    """

    metric: str
    sign: int
    seeds: tuple[int, ...]
    rows: tuple[Trained, ...]
    wanted: int
    effects: tuple[Effect, ...]
    interactions: dict[tuple[str, str], float]
    best: Mapping[str, Any]
    margin: float
    failed: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def mean(self, values: Mapping[str, Any]) -> float:
        """The mean score of all that was trained with some values."""
        own = [row.score for row in self.rows if all(_same(row.values[name], values[name]) for name in values)]
        return sum(own) / len(own) if own else math.nan

    @property
    def words(self) -> str:
        """What came of it, in a sentence."""
        those = [effect.parameter for effect in self.effects if effect.verdict == "matters"]
        said = (
            f"{', '.join(those)} matter"
            if len(those) > 1
            else f"{those[0]} matters"
            if those
            else "nothing surely matters"
        )
        done = "" if len(self.rows) == self.wanted else f"; {len(self.rows)} of {self.wanted} trainings are done"
        return f"{said} for {self.metric} on the validation rows, over {len(self.seeds)} seeds{done}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        pairs = [{"parameters": list(pair), "share": share} for pair, share in self.interactions.items()]
        return {**asdict(self), "interactions": pairs, "words": self.words}


def of(
    rows: Sequence[Trained],
    *,
    defaults: Mapping[str, Any],
    metric: str,
    sign: int,
    margin: float,
    wanted: int,
    failed: Iterable[str] = (),
    notes: Iterable[str] = (),
    seconds: float = 0.0,
) -> Found:
    """Find out what each parameter does.

    Args:
        rows: what was trained.
        defaults: the value of each parameter that its others are held against.
        metric: the score.
        sign: 1 where more of it is better, else -1.
        margin: below which effects are called none.
        wanted: how many trainings the study has.
        failed: trainings that failed, with the reasons.
        notes: what the reader should know.
        seconds: wall time.
    """
    seeds = tuple(sorted({row.seed for row in rows}))
    shares = _shares(rows, list(defaults))
    levels = {name: _levels(rows, name, defaults[name], sign) for name in defaults}
    effects = [_effect(name, defaults[name], own, shares, margin, metric) for name, own in _corrected(levels).items()]
    effects.sort(key=lambda effect: -(effect.share or 0.0))
    pairs = {pair: share for pair, share in shares.items() if len(pair) == 2}
    best = _best(rows, seeds, sign)
    notes = (*notes, *_still(rows, metric))
    return Found(
        metric, sign, seeds, tuple(rows), wanted, tuple(effects), pairs, best, margin, tuple(failed), notes, seconds
    )


def _still(rows: Sequence[Trained], metric: str) -> Iterator[str]:
    """A note where nothing made any difference, which is less often the parameters' doing than that of what came before them."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(row.score)
    if rows and all(len(scores) > 1 and len(set(scores)) == 1 for scores in by_seed.values()):
        yield (
            f"with each seed all combinations came to exactly the same {metric}: perhaps none got better than what it began with"
            " (a head that is fitted first, --train.warm_start) within its epochs or time"
        )


def _levels(rows: Sequence[Trained], name: str, default: Any, sign: int) -> list[tuple[Level, list[float]]]:
    """Each value with its differences from the default's, seed by seed."""
    found = []
    for value in _distinct(row.values[name] for row in rows):
        own = [row for row in rows if _same(row.values[name], value)]
        score = sum(row.score for row in own) / len(own)
        seconds = sum(row.seconds for row in own) / len(own)
        gains = [] if _same(value, default) else _gains(rows, name, value, default, sign)
        found.append((Level(value, score, seconds, sum(gains) / len(gains) if gains else 0.0, seeds=len(gains)), gains))
    return found


def _gains(rows: Sequence[Trained], name: str, value: Any, default: Any, sign: int) -> list[float]:
    """How much better a value is than another: of each seed the mean over the combinations that both were trained with."""
    scores = {(_key(row.values, without=name), row.seed, _plain(row.values[name])): row.score for row in rows}
    by_seed: dict[int, list[float]] = {}
    for (others, seed, own), score in scores.items():
        before = scores.get((others, seed, _plain(default)))
        if own == _plain(value) and before is not None:
            by_seed.setdefault(seed, []).append(sign * (score - before))
    return [sum(gains) / len(gains) for _, gains in sorted(by_seed.items())]


def _corrected(levels: Mapping[str, list[tuple[Level, list[float]]]]) -> dict[str, list[tuple[Level, list[float]]]]:
    """Intervals and p-values, these corrected for all comparisons of the study."""
    tested = [(name, place) for name, own in levels.items() for place, (_, gains) in enumerate(own) if len(gains) > 1]
    p_values = corrections.holm([_test(levels[name][place][1]).p_different for name, place in tested]).tolist()
    found = {name: list(own) for name, own in levels.items()}
    for (name, place), p_value in zip(tested, p_values, strict=True):
        level, gains = found[name][place]
        found[name][place] = (replace(level, interval=_interval(gains), p_value=p_value), gains)
    return found


def _effect(
    name: str,
    default: Any,
    levels: Sequence[tuple[Level, list[float]]],
    shares: Mapping[tuple[str, ...], float],
    margin: float,
    metric: str,
) -> Effect:
    compared = [(level, gains) for level, gains in levels if level.p_value is not None]
    surely = [level for level, _ in compared if (level.p_value or 0.0) < 1 - CONFIDENCE]
    tests = [_test(gains, margin) for _, gains in compared]
    verdict: Verdict = "cannot tell"
    if surely:
        verdict = "matters"
        most = max(surely, key=lambda level: abs(level.gain))
        assert most.interval is not None
        words = (
            f"{name} matters: {_text(most.value)} against {_text(default)} changes {metric} for the "
            f"{'better' if most.gain > 0 else 'worse'} by {abs(most.gain):.4f} [{most.interval[0]:+.4f}, {most.interval[1]:+.4f}]"
        )
    elif tests and all(test.words == "equivalent" for test in tests):
        verdict, words = "inert", f"{name} is inert here: no value changes {metric} by {margin:g} or more"
    else:
        words = f"{name}: cannot tell{_needed(tests, margin)}"
    return Effect(name, default, tuple(level for level, _ in levels), shares.get((name,)), verdict, words)


def _needed(tests: Sequence[Equivalence], margin: float) -> str:
    """What these seeds could have shown, and how many would show that there is nothing."""
    if not tests:
        return ", as no value was trained with two seeds beside the default's"
    least = max(test.least_detectable for test in tests)
    seeds = [test.needed_rows for test in tests]
    more = f"; about {max(filter(None, seeds))} seeds could show that there is none of {margin:g}" if all(seeds) else ""
    return f" by so few seeds: they would have shown an effect of {least:.4f}{more}"


def _test(gains: Sequence[float], margin: float = 1.0) -> Equivalence:
    return equivalence.tost(np.array(gains), margin, 1 - CONFIDENCE)


def _interval(gains: Sequence[float]) -> tuple[float, float]:
    """Student's t over seeds."""
    from scipy import stats

    mean, error = float(np.mean(gains)), float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * error
    return mean - reach, mean + reach


def _shares(rows: Sequence[Trained], names: Sequence[str]) -> dict[tuple[str, ...], float]:
    """Functional ANOVA of the mean scores of combinations, where every combination was trained."""
    table: dict[str, list[Trained]] = {}
    for row in rows:
        table.setdefault(_key(row.values), []).append(row)
    settings = [{name: _plain(own[0].values[name]) for name in names} for own in table.values()]
    if len(settings) < 2 or not variance.is_balanced(settings):
        return {}
    means = np.array([sum(row.score for row in own) / len(own) for own in table.values()])
    return dict(variance.decompose(settings, means).parts)


def _best(rows: Sequence[Trained], seeds: Sequence[int], sign: int) -> Mapping[str, Any]:
    """The combination with the best mean, of those trained with every seed, or of all where none was."""
    scores: dict[str, list[Trained]] = {}
    for row in rows:
        scores.setdefault(_key(row.values), []).append(row)
    whole = [own for own in scores.values() if len(own) == len(seeds)] or list(scores.values())
    best = max(whole, key=lambda own: sign * sum(row.score for row in own) / len(own))
    return best[0].values


def _key(values: Mapping[str, Any], without: str = "") -> str:
    return repr([(name, _plain(value)) for name, value in values.items() if name != without])


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, bool, type(None))) else repr(value)


def _same(one: Any, other: Any) -> bool:
    return bool(_plain(one) == _plain(other)) and isinstance(one, bool) == isinstance(other, bool)


def _distinct(values: Iterable[Any]) -> list[Any]:
    found = list({repr(_plain(value)): value for value in values}.values())
    numbers = all(isinstance(value, (int, float)) for value in found)
    return sorted(found) if numbers else found


def _text(value: Any) -> str:
    from tunesmith.search.show import text

    return text(value)
