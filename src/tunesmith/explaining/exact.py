"""The distribution of the next token after a request's samplers, and how far it is from what it was: no token is drawn.

Shapes: T places of one answer, V tokens. Distributions are float64.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunesmith.generation.sampler import Row, process

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Next:
    """What may come next at each place.

    Args:
        p: probabilities (T, V).
        open: tokens that can be drawn at all (T, V); the probability of some of them may be too small for a number.
        best: the likeliest token (T,).
    """

    p: Tensor
    open: Tensor
    best: Tensor


def distribution(logits: Tensor, rows: Sequence[Row]) -> Next:
    """The distribution that tokens are drawn from.

    Args:
        logits: the model's own (T, V).
        rows: of each place what its samplers need to know: the request, and the answer up to there.

    A greedy request has all its probability on one token. XTC happens by chance: what comes of it is the mixture of the
    distributions with and without.
    """
    chance = rows[0].request.xtc_probability
    if 0 < chance < 1 and not rows[0].request.greedy:
        without, within = (distribution(logits, _with(rows, xtc_probability=each)) for each in (0.0, 1.0))
        p = (1 - chance) * without.p + chance * within.p
        return Next(p, without.open | within.open, p.argmax(1))
    z = process(logits, rows)
    best = z.argmax(1)
    if rows[0].request.greedy:
        p = torch.zeros(z.shape, dtype=torch.float64).scatter_(1, best[:, None], 1.0)
        return Next(p, p > 0, best)
    return Next(z.double().softmax(1), z.isfinite(), best)


def rows_along(row: Row, output: Sequence[int]) -> list[Row]:
    """What the samplers need to know at each place of an answer: ``row`` with the tokens before it."""
    return [dataclasses.replace(row, output=list(output[:place])) for place in range(len(output))]


MEASURES: Mapping[str, str] = {
    "entropy": "entropy of the next token, nats",
    "nucleus": "tokens that may come",
    "kept": "probability kept",
    "cut": "probability cut",
    "kl": "KL to the distribution before, nats",
    "distance": "total variation to the distribution before",
    "flip": "places whose likeliest token changed",
    "path": "log-probability of the token on the path",
    "end": "probability that the answer ends",
}
"""What is measured at each place, in words."""


def measure(now: Next, before: Next, path: Sequence[int], ends: Collection[int]) -> dict[str, Array]:
    """Each of ``MEASURES`` at each place (T,).

    Args:
        now: with the parameter.
        before: without it.
        path: the token that stands at each place.
        ends: tokens that end the answer.
    """
    p, was = now.p, before.p
    places = torch.arange(len(path))
    kept, entropy = (was * now.open).sum(1), torch.special.entr(p).sum(1)
    found: dict[str, Tensor] = {
        "entropy": entropy,
        "nucleus": now.open.sum(1),
        "kept": kept,
        "cut": (was * ~now.open).sum(1),
        "kl": (-entropy - torch.special.xlogy(p, was).sum(1)).clamp(min=0),
        "distance": (p - was).abs().sum(1) / 2,
        "flip": now.best != before.best,
        "path": p[places, torch.tensor(list(path))].log(),
        "end": p[:, sorted(ends)].sum(1) if ends else torch.zeros(len(path)),
    }
    return {name: values.double().numpy() for name, values in found.items()}


def endings(hazards: Array) -> tuple[float, float]:
    """Expected length of an answer that goes along a path and may end at each place, and the chance that it ends on it.

    Args:
        hazards: the probability that it ends at each place (T,), given that it came there along the path.

    Returns:
        The expected number of tokens, the end token included, of an answer that is cut after T; the probability that it
        ended by then.

    >>> endings(np.array([0.5, 0.5]))
    (1.5, 0.75)
    """
    alive = np.cumprod(1 - hazards)
    return 1 + float(alive[:-1].sum()), 1 - float(alive[-1])


def _with(rows: Sequence[Row], **changes: Any) -> list[Row]:
    request = rows[0].request.model_copy(update=changes)
    return [dataclasses.replace(row, request=request) for row in rows]
