"""Heads that label every token, and their losses.

Shapes as in ``heads``: B sequences, T tokens, W width, O labels, S slots of a token (see ``token_words``), one unless said
otherwise. Targets are (B, T) or (B, T, S) with ``heads.IGNORED`` where there is no label.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.heads import IGNORED, Head, RowLoss, crf
from tunesmith.heads.crf import Chain


class TokenHead(Head):
    """Dropout and one linear layer on every token's vector: (B, T, W) to (B, T, SO)."""

    linear: nn.Linear

    def __init__(self, width: int, outputs: int, *, dropout: float, slots: int = 1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, slots * outputs)

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The vectors as they are, in float32."""
        return hidden.float()

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, T, W) to outputs (B, T, SO)."""
        outputs: Tensor = self.linear(self.dropout(features))
        return outputs


class ChainHead(TokenHead):
    """A conditional random field over the outputs of ``TokenHead``; its outputs are packed (see ``crf.Chain``)."""

    def __init__(self, width: int, outputs: int, *, dropout: float, slots: int = 1) -> None:
        super().__init__(width, outputs, dropout=dropout, slots=slots)
        self.transitions = nn.Parameter(torch.zeros(outputs, outputs))
        self.first = nn.Parameter(torch.zeros(outputs))
        self.last = nn.Parameter(torch.zeros(outputs))

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, T, W) to a packed chain (B, (ST + O + 2) * O), slot by slot."""
        emissions = super().classify(features).reshape(features.shape[0], -1, self.first.shape[0])
        return Chain(emissions, self.transitions, self.first, self.last).packed()


def token_cross_entropy(weights: Tensor | None = None, *, label_smoothing: float = 0.0) -> RowLoss:
    """Mean cross-entropy of the labels of each sequence; ``weights`` (O,) scale each by its label's weight."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        outputs, targets = outputs.reshape(*targets.shape, -1).flatten(1, -2), targets.flatten(1)
        labelled = targets != IGNORED
        cells = F.cross_entropy(
            outputs.flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=label_smoothing
        ).view_as(targets)
        if weights is not None:
            cells = cells * weights.to(cells)[targets.clamp_min(0)]
        return cells.masked_fill(~labelled, 0).sum(1) / labelled.sum(1).clamp_min(1)

    return loss


def chain_likelihood(labels: int) -> RowLoss:
    """Negative log-likelihood of each sequence under a conditional random field, divided by its labels.

    Outputs that are not packed, (B, T, SO), have no transitions: their loss is the mean cross-entropy, which is the same
    for transitions of zero. So a linear layer alone can be fitted.
    """
    plain = token_cross_entropy()

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.dim() == 3:
            return plain(outputs, targets)
        targets = targets.flatten(1)
        labelled = targets != IGNORED
        rows = crf.negative_log_likelihood(Chain.unpacked(outputs, labels), targets, labelled)
        return rows / labelled.sum(1).clamp_min(1)

    return loss
