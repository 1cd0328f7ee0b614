"""How far two outputs for the same rows are apart: one function for each form of outputs, as R-Drop asks for.

Of probabilities it is the mean of the two Kullback-Leibler divergences (Liang et al. 2021, "R-Drop: Regularized Dropout
for Neural Networks", equation 2). Shapes: B sequences, T tokens, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tunesmith.heads import IGNORED

Divergence = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(outputs, others of the same rows, targets) -> how far they are apart (B,); targets say what carries loss."""


def labels(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of one label among many: outputs (B, O)."""
    return _apart(first.log_softmax(1), second.log_softmax(1)).sum(1)


def marks(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of independent yes and no: outputs (B, O), whose divergences add up."""
    both = [torch.stack([F.logsigmoid(outputs), F.logsigmoid(-outputs)], -1) for outputs in (first, second)]
    return _apart(*both).flatten(1).sum(1)


def values(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of numbers: squared distance of outputs (B, O)."""
    return (first - second).square().sum(1)


def cosines(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of embeddings (B, P * D) of a row's texts, P + 1 targets: squared difference of the cosines of the first two."""

    def cosine(outputs: Tensor) -> Tensor:
        parts = outputs.reshape(len(outputs), targets.shape[1] - 1, -1)
        return F.cosine_similarity(parts[:, 0], parts[:, 1], dim=1)

    return (cosine(first) - cosine(second)).square()


def token_labels(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of a label for each token: outputs (B, T, SO), targets (B, T) or (B, T, S); the mean over what is labelled."""
    first, second = (outputs.reshape(*targets.shape, -1).log_softmax(-1) for outputs in (first, second))
    return _mean(_apart(first, second).sum(-1).flatten(1), targets.flatten(1) != IGNORED)


def spans(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of start and end among tokens (see ``heads.spans``): outputs (B, T, 2); the mean of both."""
    never = (targets == IGNORED).unsqueeze(-1)
    first, second = (outputs.masked_fill(never, -torch.inf).log_softmax(1) for outputs in (first, second))
    return _apart(first.masked_fill(never, 0), second.masked_fill(never, 0)).sum(1).mean(1)


def triples(first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Of tags beside vectors (see ``heads.relations``), (B, T, O): squared distance of a number, the mean over what has a tag."""
    tagged = targets[:, : first.shape[1]] != IGNORED
    return _mean((first - second).square().mean(2), tagged)


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """What each log probability adds to the mean of both divergences."""
    return (first.exp() - second.exp()) * (first - second) / 2


def _mean(numbers: Tensor, counted: Tensor) -> Tensor:
    """Mean (B,) over the places that count (B, T); 0 where there is none."""
    return numbers.masked_fill(~counted, 0).sum(1) / counted.sum(1).clamp_min(1)
