"""What targets and outputs of networks mean, for those who make and read them without running a network: in numpy.

``heads`` makes the outputs that are read here. Shapes as there: T tokens or places, O labels, R relations, K numbers of a
word's vector, P pairs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""Target of what carries no loss, such as special tokens and padding."""

START, END = 1, 2
"""Bits of a token's target: an answer starts here, an answer ends here."""

PAIR_COLUMNS = 4
"""A pair to learn from is the tokens of its head and of its tail, each start and end, then 0 or 1 for each relation."""


def parts(outputs: Any, tags: int, relations: int) -> tuple[Any, Any, Any]:
    """Outputs (..., O + 2RK), tensor or array, as tags (..., O), vectors of heads and of tails (..., R, K)."""
    vectors = outputs[..., tags:].reshape(*outputs.shape[:-1], 2, relations, -1)
    return outputs[..., :tags], vectors[..., 0, :, :], vectors[..., 1, :, :]


def pair_scores(heads: Any, tails: Any) -> Any:
    """Scores (..., R) of pairs from their vectors (..., R, K), tensors or arrays.

    The product of the first K - 1 numbers, scaled as in attention, and the sum of the last, which say how ready either
    is for the relation.
    """
    size = heads.shape[-1] - 1
    products = (heads[..., :size] * tails[..., :size]).sum(-1) / math.sqrt(max(1, size))
    return products + heads[..., size] + tails[..., size]


def chain_marginals(packed: NDArray[np.floating], places: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    """The probability of each label at some places of a packed chain, all sequences over these places weighed.

    Args:
        packed: one row of what ``heads.crf.Chain.packed`` makes, ((T + O + 2) * O,).
        places: ascending numbers of the places that belong to the sequence; the others are passed over.
        labels: O.

    Returns:
        (places, O).
    """
    whole = np.asarray(packed, np.float64).reshape(-1, labels)
    emissions, transitions = whole[: -(labels + 2)][places], whole[-(labels + 2) : -2]
    if not len(places):
        return np.zeros((0, labels))
    forward, backward = np.empty_like(emissions), np.empty_like(emissions)
    forward[0], backward[-1] = whole[-2] + emissions[0], whole[-1]
    for place in range(1, len(places)):
        forward[place] = _log_sum(forward[place - 1][:, None] + transitions) + emissions[place]
    for place in range(len(places) - 1, 0, -1):
        backward[place - 1] = _log_sum((transitions + (backward[place] + emissions[place])).T)
    weights = forward + backward
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _log_sum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the sum of exponentials over the first axis."""
    most = values.max(axis=0)
    return np.asarray(most + np.log(np.exp(values - most).sum(axis=0)))
