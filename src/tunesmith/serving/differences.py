"""How the answers of two versions of a model differ."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, quantiles
from typing import Any

_RECENT = 4096
_MOST_EXAMPLES = 20
_BESIDE = {"seed", "engine", "tokens", "finish_reason", "warnings", "logprobs", "cut_tokens"}
"""What is told with an answer and is not the answer."""


@dataclass
class Side:
    """What is known of one version: requests, errors, the times of the last 4,096 answers, labels."""

    requests: int = 0
    errors: int = 0
    last_error: str | None = None
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    labels: Counter[str] = field(default_factory=Counter)

    def answered(self, answers: Sequence[Any], time_s: float) -> None:
        """Count a request that was answered."""
        self.requests += 1
        self.times_s.append(time_s)
        self.labels.update(label for answer in answers for label in _labels(answer))

    def failed(self, why: str | None) -> None:
        """Count a request that was not."""
        self.requests += 1
        self.errors += 1
        self.last_error = why or self.last_error

    def told(self) -> dict[str, Any]:
        """For people and programs; times in milliseconds, labels as shares."""
        named = self.labels.total()
        return {
            "requests": self.requests,
            "errors": self.errors,
            "error_rate": self.errors / self.requests if self.requests else None,
            "last_error": self.last_error,
            "latency_ms": _times(self.times_s),
            "labels": {label: count / named for label, count in self.labels.most_common(50)},
        }


@dataclass
class Differences:
    """The present version beside the one on trial, and inputs that both answered.

    Args:
        keep_texts: whether some inputs with differing answers are kept.
    """

    keep_texts: bool
    current: Side = field(default_factory=Side)
    trial: Side = field(default_factory=Side)
    compared: int = 0
    judged: int = 0
    agreed: int = 0
    scores: int = 0
    score_difference: float = 0.0
    examples: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_MOST_EXAMPLES))

    def compare(self, inputs: Sequence[Any], current: Sequence[Any], trial: Sequence[Any]) -> None:
        """Note what both answered to the same inputs."""
        for number, (one, other) in enumerate(zip(current, trial, strict=True)):
            self.compared += 1
            same = agree(one, other)
            self.judged += same is not None
            self.agreed += bool(same)
            gaps = list(score_differences(one, other))
            self.scores += len(gaps)
            self.score_difference += sum(gaps)
            if same is False and self.keep_texts and number < len(inputs):
                self.examples.append({"input": inputs[number], "current": one, "trial": other})

    def told(self) -> dict[str, Any]:
        """For people and programs. What cannot be known yet, or of such answers, is None."""
        found: dict[str, Any] = {
            "compared": self.compared,
            "agreement": self.agreed / self.judged if self.judged else None,
            "mean_score_difference": self.score_difference / self.scores if self.scores else None,
            "current": self.current.told(),
            "trial": self.trial.told(),
        }
        return {**found, "differing": list(self.examples)} if self.keep_texts else found


def agree(one: Any, other: Any) -> bool | None:
    """Whether two answers say the same, scores aside; None: they are nothing but scores.

    >>> agree({"label": "fine", "score": 0.9}, {"label": "fine", "score": 0.7})
    True
    >>> agree({"score": 0.9}, {"score": 0.7}) is None
    True
    """
    first, second = _said(one), _said(other)
    return None if not first and not second else first == second


def score_differences(one: Any, other: Any) -> Iterator[float]:
    """How far scores are apart that stand at the same place in two answers.

    >>> [round(gap, 3) for gap in score_differences({"label": "fine", "score": 0.9}, {"label": "fine", "score": 0.7})]
    [0.2]
    """
    first, second = dict(_scores(one)), dict(_scores(other))
    for place in first.keys() & second.keys():
        yield abs(first[place] - second[place])


def _said(answer: Any) -> Any:
    """An answer without what is measured, and without what says nothing."""
    if isinstance(answer, Mapping):
        kept = {name: _said(value) for name, value in answer.items() if name not in _BESIDE}
        return {name: value for name, value in kept.items() if value is not None}
    if isinstance(answer, (list, tuple)):
        rest = [_said(one) for one in answer if not isinstance(one, float)]
        return rest if rest or not answer else None
    return None if isinstance(answer, float) else answer


def _scores(answer: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(answer, Mapping):
        for name, value in answer.items():
            if name not in _BESIDE:
                yield from _scores(value, f"{place}.{name}")
    elif isinstance(answer, (list, tuple)):
        for number, value in enumerate(answer):
            yield from _scores(value, f"{place}.{number}")
    elif isinstance(answer, float):
        yield place, answer


def _labels(answer: Any) -> list[str]:
    if not isinstance(answer, Mapping):
        return []
    found = answer.get("labels", answer.get("label"))
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str)]


def _times(times_s: Sequence[float]) -> dict[str, float] | None:
    """Mean, median and the 95th percentile, in milliseconds."""
    if not times_s:
        return None
    cuts = quantiles(times_s, n=20, method="inclusive") if len(times_s) > 1 else [times_s[0]] * 19
    return {"mean": 1000 * fmean(times_s), "median": 1000 * cuts[9], "p95": 1000 * cuts[18]}
