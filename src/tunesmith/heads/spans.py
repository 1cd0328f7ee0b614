"""The head that marks where an answer starts and ends, and its loss.

After Devlin et al. 2019 (BERT), section 4.2. Shapes: B sequences, T tokens, W width of the base model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tunesmith.heads import IGNORED, Head, RowLoss
from tunesmith.outputs import END, START


class SpanHead(Head):
    """For each token, how likely an answer starts and ends there: outputs (B, T, 2)."""

    linear = None  # its loss compares the tokens of a sequence, so it cannot be fitted to single tokens

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.ends = nn.Linear(width, 2)

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The token vectors (B, T, W) themselves."""
        return hidden.float()

    def classify(self, features: Tensor) -> Tensor:
        """Token vectors (B, T, W) to scores of start and end (B, T, 2)."""
        outputs: Tensor = self.ends(self.dropout(features))
        return outputs


def span_cross_entropy(*, label_smoothing: float = 0.0) -> RowLoss:
    """Mean of the cross-entropies of start and end, each among those tokens of the sequence that may be one.

    The loss takes outputs (B, T, 2) and targets (B, T): ``IGNORED`` where nothing may start or end, else the bits
    ``START`` and ``END``, of which each is set at one token of a sequence.
    """

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        never = (targets == IGNORED).unsqueeze(-1)
        log_p = outputs.float().masked_fill(never, -torch.inf).log_softmax(1).masked_fill(never, 0.0)
        bits = targets.clamp_min(0)
        marks = torch.stack([bits & START != 0, bits & END != 0], dim=-1).to(log_p)
        if label_smoothing:
            evenly = (~never).to(log_p)
            marks = (1 - label_smoothing) * marks + label_smoothing * evenly / evenly.sum(1, keepdim=True)
        return -(log_p * marks).sum(1).mean(-1)

    return loss
