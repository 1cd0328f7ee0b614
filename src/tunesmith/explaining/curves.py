"""What each value of a parameter does to the next tokens of given answers: exact, with nothing drawn.

The model's logits are read once for each place of each answer; the samplers that answer requests then make of them what
they would make with each value. What is compared with, is the same request with the parameter switched off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.explaining import exact
from tunesmith.explaining.exact import Array, Next
from tunesmith.explaining.paths import Logits, Path
from tunesmith.generation.admit import Admission
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.sampler import Row, Vocabulary

OFF: dict[str, Any] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "top_n_sigma": None,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "xtc_probability": 0.0,
    "xtc_threshold": 1.0,
    "dry_multiplier": 0.0,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "repetition_penalty": 1.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "no_repeat_ngram_size": 0,
    "min_tokens": 0,
}
"""The parameters that have exact curves, each with the value that leaves the distribution alone, or its default if none does."""

INERT = 1e-6
"""Total variation from which on two distributions count as different; what is the same differs by less in rounding."""

_LIKELIEST, _SHOWN = 8, 60


@dataclass(frozen=True)
class Place:
    """One place of one answer, with what could come there.

    Args:
        path: number of the answer.
        step: tokens before it.
        before: the text up to it, its last letters.
        tokens: what is likely there, as text, with its probability before the parameter and with each value.
    """

    path: int
    step: int
    before: str
    tokens: tuple[tuple[str, float, tuple[float, ...]], ...]


@dataclass(frozen=True)
class Curves:
    """A parameter's effect.

    Args:
        name: of the parameter.
        values: that were looked at.
        off: the one that leaves the distribution alone.
        held: other parameters of the request, where they were set.
        paths: the answers that were gone along, as text.
        measures: of each value (values, places) of each of ``exact.MEASURES``.
        before: the same without the parameter (places,).
        lengths: of each value and path the expected length and the chance to end (values, paths, 2).
        usual_lengths: the same without the parameter (paths, 2).
        numbers: of each place the number of its path.
        most: the place that the parameter changes most.
    """

    name: str
    values: tuple[Any, ...]
    off: Any
    held: dict[str, Any]
    paths: tuple[str, ...]
    measures: dict[str, Array]
    before: dict[str, Array]
    lengths: Array
    usual_lengths: Array
    numbers: Array
    most: Place

    @property
    def places(self) -> int:
        """How many."""
        return len(self.numbers)

    @property
    def largest(self) -> float:
        """The largest total variation that any value makes at any place."""
        return float(self.measures["distance"].max())

    @property
    def is_inert(self) -> bool:
        """Whether no value changes any distribution."""
        return self.largest < INERT

    def mean(self, measure: str) -> Array:
        """Over all places, of each value (values,); of the path's log-probabilities over those that are finite."""
        found = self.measures[measure]
        if measure != "path":
            return np.asarray(found.mean(1))
        finite = np.isfinite(found)
        sums, counts = np.where(finite, found, 0).sum(1), finite.sum(1)
        return np.asarray(np.divide(sums, counts, out=np.full(len(found), -np.inf), where=counts > 0))

    @property
    def impossible(self) -> Array:
        """Of each value how many places there are whose token on the path cannot come (values,)."""
        return np.asarray(np.isneginf(self.measures["path"]).sum(1))

    @property
    def path_probability(self) -> Array:
        """Natural logarithm of the probability of each path as a whole (values, paths); -inf where it cannot come."""
        found = self.measures["path"]
        return np.stack([found[:, self.numbers == path].sum(1) for path in range(len(self.paths))], axis=1)


@dataclass(frozen=True)
class Asking:
    """What is put to each place.

    Args:
        name: of the parameter, one of ``OFF``.
        values: legal ones.
        held: other parameters of the request. Without a temperature among them it is 1, so that tokens are drawn.
        admission: the model's check of requests.
        tokenizer: the model's.
    """

    name: str
    values: tuple[Any, ...]
    held: dict[str, Any]
    admission: Admission
    tokenizer: Any

    def request(self, value: Any) -> GenerationRequest:
        """The request with a value of the parameter."""
        return GenerationRequest(**{"temperature": 1.0, **self.held, self.name: value})

    def row(self, value: Any, path: Path) -> Row:
        """What the samplers need to know where a path begins.

        Raises:
            UsageError: parameters do not go together, or with the model.
        """
        plan = self.admission.plan(path.source or path.prompt, self.request(value), None)
        return Row(plan.terms.request, path.prompt, [], plan.vocabulary)


@dataclass(frozen=True)
class _Along:
    """What was measured along one path; see ``Curves``."""

    measures: dict[str, Array]
    before: dict[str, Array]
    lengths: Array
    worst: float
    step: int
    logits: Tensor
    path: Path


def trace(asking: Asking, paths: Sequence[Path], logits: Logits) -> Curves:
    """Put every value to every place of every path.

    Raises:
        UsageError: parameters do not go together, or with the model.
    """
    for value in asking.values:  # told before anything is computed
        asking.row(value, paths[0])
    found = [_along(asking, path, logits.along(path)) for path in paths]
    return Curves(
        asking.name,
        asking.values,
        OFF[asking.name],
        asking.held,
        tuple(asking.tokenizer.decode(path.output, skip_special_tokens=True) for path in paths),
        {name: np.concatenate([one.measures[name] for one in found], axis=1) for name in exact.MEASURES},
        {name: np.concatenate([one.before[name] for one in found]) for name in exact.MEASURES},
        np.stack([one.lengths for one in found], axis=1),
        np.array([exact.endings(one.before["end"]) for one in found]),
        np.concatenate([np.full(len(one.path.output), number) for number, one in enumerate(found)]),
        _place(asking, max(found, key=lambda one: one.worst)),
    )


def _along(asking: Asking, path: Path, logits: Tensor) -> _Along:
    before, vocabulary = _at(asking, OFF[asking.name], path, logits)
    was = exact.measure(before, before, path.output, vocabulary.ends)
    each = []
    for value in asking.values:
        now, own = _at(asking, value, path, logits)
        each.append(exact.measure(now, before, path.output, own.ends))
    measures = {name: np.stack([one[name] for one in each]) for name in exact.MEASURES}
    lengths = np.array([exact.endings(one["end"]) for one in each])
    farthest = measures["distance"].max(0)
    step = int(farthest.argmax())
    return _Along(measures, was, lengths, float(farthest[step]), step, logits[step : step + 1].clone(), path)


def _at(asking: Asking, value: Any, path: Path, logits: Tensor) -> tuple[Next, Vocabulary]:
    row = asking.row(value, path)
    return exact.distribution(logits, exact.rows_along(row, path.output)), row.vocabulary


def _place(asking: Asking, one: _Along) -> Place:
    """The likeliest tokens at the place that changes most, before and with each value."""
    path, step, decode = one.path, one.step, asking.tokenizer.decode

    def there(value: Any) -> Tensor:
        row = dataclasses.replace(asking.row(value, path), output=list(path.output[:step]))
        return exact.distribution(one.logits, [row]).p[0]

    was, now = there(OFF[asking.name]), [there(value) for value in asking.values]
    likeliest = torch.stack([was, *now]).amax(0).topk(min(_LIKELIEST, len(was))).indices.tolist()
    rows = tuple((decode([i]), float(was[i]), tuple(float(p[i]) for p in now)) for i in likeliest)
    return Place(path.number, step, decode([*path.prompt, *path.output[:step]])[-_SHOWN:], rows)
