"""Linear-chain conditional random fields (Lafferty, McCallum and Pereira 2001): labels that know their neighbours.

The score of a sequence of labels is the sum of what the network gives for each place (emissions), of a learned number
for each pair of neighbours (transitions), and of one each for the first and the last label. Shapes: B sequences,
T places, O labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chain:
    """What scores sequences of labels.

    Args:
        emissions: (B, T, O).
        transitions: (O, O), from the label in the row to that in the column.
        first, last: (O,).
    """

    emissions: Tensor
    transitions: Tensor
    first: Tensor
    last: Tensor

    def packed(self) -> Tensor:
        """All in one tensor (B, (T + O + 2) * O), the shared part repeated in every row."""
        shared = torch.cat([self.transitions, self.first.unsqueeze(0), self.last.unsqueeze(0)])
        return torch.cat([self.emissions, shared.expand(self.emissions.shape[0], -1, -1)], 1).flatten(1)

    @classmethod
    def unpacked(cls, packed: Tensor, labels: int) -> Chain:
        """What ``packed`` made, for so many labels."""
        whole = packed.reshape(len(packed), -1, labels)
        shared = whole[0, -(labels + 2) :]
        return cls(whole[:, : -(labels + 2)], shared[:labels], shared[labels], shared[labels + 1])


def negative_log_likelihood(chain: Chain, labels: Tensor, mask: Tensor) -> Tensor:
    """Minus the log probability of label sequences.

    Args:
        chain: what scores them.
        labels: int (B, T).
        mask: bool (B, T), the places that belong to the sequence; the others are passed over, wherever they stand.

    Returns:
        (B,); 0 where a sequence has no place.
    """
    return log_partition(chain, mask) - path_score(chain, labels, mask)


def path_score(chain: Chain, labels: Tensor, mask: Tensor) -> Tensor:
    """Scores (B,) of given label sequences; arguments as above."""
    labels = labels.masked_fill(~mask, 0)
    emitted = chain.emissions.gather(2, labels.unsqueeze(2)).squeeze(2).masked_fill(~mask, 0).sum(1)
    before = _label_before(labels, mask)
    moved = chain.transitions[before.clamp_min(0), labels].masked_fill(~mask | (before < 0), 0).sum(1)
    any_place = mask.any(1)
    rows, places = torch.arange(len(mask), device=mask.device), torch.arange(mask.shape[1], device=mask.device)
    start = labels[rows, mask.int().argmax(1)]
    end = labels[rows, (mask * places).argmax(1)]
    return emitted + moved + (chain.first[start] + chain.last[end]).masked_fill(~any_place, 0)


def log_partition(chain: Chain, mask: Tensor) -> Tensor:
    """Log of the sum over all label sequences of exp(score), (B,); 0 where a sequence has no place."""
    forward = _forward(chain, mask)[-1]
    return torch.logsumexp(forward + chain.last, 1).masked_fill(~mask.any(1), 0)


def _forward(chain: Chain, mask: Tensor) -> list[Tensor]:
    """Log weight (B, O) of all beginnings that are at a label, after each place."""
    states, started = [], torch.zeros_like(mask[:, 0])
    state = torch.zeros_like(chain.emissions[:, 0])
    for place in range(mask.shape[1]):
        moved = torch.logsumexp(state.unsqueeze(2) + chain.transitions, 1)
        here = torch.where(started.unsqueeze(1), moved, chain.first) + chain.emissions[:, place]
        state = torch.where(mask[:, place].unsqueeze(1), here, state)
        started = started | mask[:, place]
        states.append(state)
    return states


def _label_before(labels: Tensor, mask: Tensor) -> Tensor:
    """The label of the place before each in its sequence; -1 where there is none."""
    found = torch.full_like(labels, -1)
    last = torch.full_like(labels[:, 0], -1)
    for place in range(labels.shape[1]):
        found[:, place] = last
        last = torch.where(mask[:, place], labels[:, place], last)
    return found
