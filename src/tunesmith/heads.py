"""Heads: from the base model's token vectors to the task's outputs, and the losses over them.

Shapes: B rows, T tokens, W width of the base model, O outputs. Losses return one number a row, so that a step's
loss is the same however it is cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The slope of doubt ** gamma is infinite at 0 where gamma < 1, and a row without doubt has no loss anyway.
_LEAST_DOUBT = 1e-12

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (B, O), targets (B,) or (B, O)) -> losses (B,)"""


class Pooling(nn.Module):
    """Token vectors (B, T, W) and their mask (B, T) or None to text vectors (B, W)."""

    def __init__(self, mode: str, width: int) -> None:
        super().__init__()
        self.mode = mode
        self.query = nn.Linear(width, 1) if mode == "attention" else None

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Padding, where ``mask`` is 0, stands after each row's tokens and counts for nothing."""
        hidden = hidden.float()
        if self.mode == "cls":
            return hidden[:, 0]
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2])
        if self.mode == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), mask.long().sum(1) - 1]
        if self.mode == "max":
            return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
        weights = mask.float()
        if self.query is not None:
            weights = self.query(hidden).squeeze(-1).masked_fill(mask == 0, -torch.inf).softmax(1)
        else:
            weights = weights / weights.sum(1, keepdim=True)
        return torch.einsum("bt,btw->bw", weights, hidden)


class Head(nn.Module):
    """Pooling, dropout and one linear layer; with ``pair`` it compares two texts that were read separately.

    A pair's features are ``[|u - v|, u * v, cos(u, v)]`` of the two text vectors, after Reimers and Gurevych 2019
    (Sentence-BERT) with the cosine added, since that is what a sentence encoder was trained on.
    """

    def __init__(self, width: int, outputs: int, *, pooling: str, dropout: float, pair: bool = False) -> None:
        super().__init__()
        self.pooling = Pooling(pooling, width)
        self.dropout = nn.Dropout(dropout)
        self.pair = pair
        self.linear = nn.Linear(2 * width + 1 if pair else width, outputs)

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Text vectors (B, W); of pairs, whose two halves are stacked (2B, T, W), their comparison (B, 2W + 1)."""
        vectors: Tensor = self.pooling(hidden, mask)
        if not self.pair:
            return vectors
        first, second = vectors.chunk(2)
        cosine = F.cosine_similarity(first, second, dim=1).unsqueeze(1)
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        return torch.cat([(first - second).abs(), first * second, cosine], dim=1)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Token vectors to outputs (B, O)."""
        return self.classify(self.features(hidden, mask))

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, F) to outputs (B, O)."""
        outputs: Tensor = self.linear(self.dropout(features))
        return outputs


def cross_entropy(weights: Tensor | None = None, *, label_smoothing: float = 0.0) -> RowLoss:
    """Loss of one label among many; ``weights`` (O,) scale each row by its label's weight."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        rows = F.cross_entropy(outputs, targets, reduction="none", label_smoothing=label_smoothing)
        return rows if weights is None else rows * weights.to(rows)[targets]

    return loss


def focal(weights: Tensor | None = None, *, gamma: float = 2.0) -> RowLoss:
    """Focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection"): (1 - p)^gamma * -log p."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        log_p = outputs.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1)
        rows = -((-log_p.expm1()).clamp_min(_LEAST_DOUBT) ** gamma) * log_p
        return rows if weights is None else rows * weights.to(rows)[targets]

    return loss


def binary(weights: Tensor | None = None, *, gamma: float = 0.0, label_smoothing: float = 0.0) -> RowLoss:
    """Independent yes/no per output, for multi-label; ``weights`` (O,) scale the yes side; gamma > 0 makes it focal."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        smooth = targets * (1 - label_smoothing) + label_smoothing / 2
        cells = F.binary_cross_entropy_with_logits(
            outputs, smooth, reduction="none", pos_weight=None if weights is None else weights.to(outputs)
        )
        if gamma:
            doubt = targets * (-outputs).sigmoid() + (1 - targets) * outputs.sigmoid()
            cells = cells * doubt.clamp_min(_LEAST_DOUBT) ** gamma
        return cells.sum(1)

    return loss


def squared() -> RowLoss:
    """Squared error of one value a row."""
    return lambda outputs, targets: (outputs.squeeze(1) - targets).square()


def fit_linear(
    head: Head, features: Tensor, targets: Tensor, loss: RowLoss, *, l2: float = 1e-3, iterations: int = 200
) -> None:
    """Fit the head's linear layer to frozen features (N, F) with L-BFGS on the task's own loss.

    Features are centred and scaled while fitting, so that one ``l2`` suits every base model, and that is folded back
    into the weights afterwards. One scale serves all features: a scale of each one's own would give a feature that
    hardly varies a huge weight, which the first change of the base model then multiplies. The start is zero: the
    result depends on nothing random.
    """
    mean, deviation = features.mean(0), features.std(0, correction=0).mean().clamp_min(1e-6)
    scaled = (features - mean) / deviation
    weight = torch.zeros_like(head.linear.weight, requires_grad=True)
    bias = torch.zeros_like(head.linear.bias, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(scaled @ weight.T + bias, targets).mean() + l2 * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.linear.weight.copy_(weight / deviation)
        head.linear.bias.copy_(bias - (weight / deviation) @ mean)
