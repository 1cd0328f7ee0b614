"""Soups: means of several trained weights, kept only where they score better than the best of them.

After Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", recipe 1 (greedy).
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tunesmith.train import state

Weights = Mapping[str, Tensor]
Scores = dict[str, float]


@dataclass(frozen=True)
class Soup:
    """A mean of weights: the numbers of those that are in it, and its scores."""

    weights: Weights
    members: tuple[int, ...]
    scores: Scores


def greedy(
    ingredients: Sequence[Callable[[], Weights]],
    judge: Callable[[Weights], Scores],
    chief: Callable[[Scores], float],
    first: Scores,
) -> Soup:
    """Begin with the first; each other joins if the mean with it scores better than the mean without.

    Args:
        ingredients: read weights, the best first; never more than two are held at once.
        judge: scores of weights on validation rows; outputs that are not finite (``FloatingPointError``) are no better.
        chief: the one number of scores that is to grow.
        first: scores of the first ones.
    """
    soup = Soup(ingredients[0](), (0,), first)
    for number, read in enumerate(ingredients[1:], 1):
        mixed = joined(soup.weights, read(), len(soup.members))
        with contextlib.suppress(FloatingPointError):
            scores = judge(mixed)
            if chief(scores) > chief(soup.scores):
                soup = Soup(mixed, (*soup.members, number), scores)
    return soup


def of_run(
    folder: Path,
    best: int,
    kept: Mapping[int, float],
    judge: Callable[[Weights], Scores],
    chief: Callable[[Scores], float],
    first: Scores,
) -> tuple[Soup, list[int]]:
    """The soup of a run's best weights and of others that it kept, by score; and the steps that its numbers mean.

    Args:
        folder: with ``best`` and what ``keep`` keeps.
        best: step of the best weights.
        kept: steps of those that were kept, the best first.
        judge: as for ``greedy``.
        chief: as for ``greedy``.
        first: scores of the best weights.
    """
    others = [step for step in kept if step != best]
    folders = [folder / "best", *(place(folder, step) for step in others)]
    return greedy([functools.partial(state.read, one) for one in folders], judge, chief, first), [best, *others]


def joined(mean: Weights, other: Weights, count: int) -> dict[str, Tensor]:
    """The mean of ``count`` weights with one more; numbers that are no fractions, such as counters, stay as they are.

    >>> joined({"w": torch.tensor([1.0])}, {"w": torch.tensor([4.0])}, 2)
    {'w': tensor([2.])}
    """
    return {
        name: torch.lerp(weight, other[name].to(weight), 1 / (count + 1)) if weight.is_floating_point() else weight
        for name, weight in mean.items()
    }


def keep(
    folder: Path, kept: Mapping[int, float], step: int, score: float, most: int, weights: Weights
) -> dict[int, float]:
    """Keep weights on disk if they are among the best; returns which steps are there now, with their scores."""
    scores = {**kept, step: score}
    best = sorted(scores, key=lambda one: (-scores[one], one))[:most]
    if step in best:
        state.replace(place(folder, step), dict(weights))
    for gone in scores.keys() - set(best):
        shutil.rmtree(place(folder, gone), ignore_errors=True)
    return {one: scores[one] for one in best}


def there(folder: Path, kept: Mapping[int, float]) -> dict[int, float]:
    """Those that are on disk. What was pushed out after a checkpoint was, is pushed out again when the run goes on."""
    return {step: score for step, score in kept.items() if place(folder, step).exists()}


def place(folder: Path, step: int) -> Path:
    """Where the weights of a step are kept."""
    return folder / "soup" / f"step-{step:08d}"
