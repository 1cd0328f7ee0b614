"""Heads: from the base model's token vectors to the task's outputs, and the losses over them.

Shapes: B rows, T tokens, W width of the base model, O outputs. Losses return one number a row, so that a step's
loss is the same however it is cut into micro-batches.

"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.outputs import IGNORED as IGNORED

# The slope of doubt ** gamma is infinite at 0 where gamma < 1, and a row without doubt has no loss anyway.
_LEAST_DOUBT = 1e-12

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""(outputs (B, O), targets (B,) or (B, O)) -> losses (B,); of tokens (B, T, O) and (B, T)."""


class StepLoss:
    """A loss that compares the rows of a step with each other, so that it must see them all at once.

    A step that is too large for one forward pass is learned from in two (see ``train.whole_step``).
    """

    def __init__(self, losses: RowLoss) -> None:
        self._losses = losses

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (B,), whose mean is the loss of the step."""
        return self._losses(outputs, targets)


_SENTENCE_POOLINGS = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}


@dataclass(frozen=True)
class Layer:
    """A module of sentence-transformers that does what some part of a head does.

    Args:
        kind: name of its class.
        settings: its ``config.json``; empty: it has none.
        weights: by the names that it gives them.
    """

    kind: str
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @classmethod
    def dense(cls, linear: nn.Linear) -> Layer:
        """A linear layer."""
        settings = {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": linear.bias is not None,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        return cls("Dense", settings, {f"linear.{name}": weight for name, weight in linear.state_dict().items()})


class Pooling(nn.Module):
    """Token vectors (B, T, W) and their mask (B, T) or None to text vectors (B, W)."""

    def __init__(self, mode: str, width: int) -> None:
        super().__init__()
        self.mode = mode
        self.width = width
        self.query = nn.Linear(width, 1) if mode == "attention" else None

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Padding, where ``mask`` is 0, stands after each row's tokens and counts for nothing."""
        hidden = hidden.float()
        if self.mode == "cls":
            return hidden[:, 0]
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2])
        if self.mode == "last":
            return hidden[torch.arange(hidden.shape[0], device=hidden.device), mask.long().sum(1) - 1]
        if self.mode == "max":
            return hidden.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(1)
        weights = mask.float()
        if self.query is not None:
            weights = self.query(hidden).squeeze(-1).masked_fill(mask == 0, -torch.inf).softmax(1)
        else:
            weights = weights / weights.sum(1, keepdim=True)
        return torch.einsum("bt,btw->bw", weights, hidden)

    def layout(self) -> list[Layer]:
        """As sentence-transformers has it; empty where it has no such pooling."""
        if self.mode not in _SENTENCE_POOLINGS:
            return []
        modes = {f"pooling_mode_{name}": mode == self.mode for mode, name in _SENTENCE_POOLINGS.items()}
        return [Layer("Pooling", {"word_embedding_dimension": self.width, **modes})]


class Head(nn.Module):
    """What the network asks of any head.

    Attributes:
        linear: the last layer, which the warm start fits to the features of the frozen base model; None: it is not fitted.
        pools: whether features are one vector a sequence that no weight of the head has touched, so that they may be kept.
        reads: what ``features`` takes of a batch beside token vectors and mask, by name.
    """

    linear: nn.Linear | None
    pools: bool = False
    reads: tuple[str, ...] = ()

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Token vectors (B, T, W) and their mask (B, T) or None to what the last layer sees: (B, F) or (B, T, F)."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> Tensor:
        """Features to outputs: (B, O), or (B, T, ...) of every token."""
        raise NotImplementedError

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Token vectors to outputs."""
        return self.classify(self.features(hidden, mask))

    def layout(self) -> list[Layer]:
        """The modules behind the base model with which sentence-transformers gives the same; empty: it cannot."""
        return []


class TextHead(Head):
    """Pooling, dropout and one linear layer; with ``pair`` it compares two texts that were read separately.

    A pair's features are ``[|u - v|, u * v, cos(u, v)]`` of the two text vectors, after Reimers and Gurevych 2019
    (Sentence-BERT) with the cosine added, since that is what a sentence encoder was trained on.
    """

    linear: nn.Linear

    def __init__(self, width: int, outputs: int, *, pooling: str, dropout: float, pair: bool = False) -> None:
        super().__init__()
        self.pooling = Pooling(pooling, width)
        self.dropout = nn.Dropout(dropout)
        self.pair = pair
        self.pools = self.pooling.query is None
        self.linear = nn.Linear(2 * width + 1 if pair else width, outputs)

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Text vectors (B, W); of pairs, whose two halves are stacked (2B, T, W), their comparison (B, 2W + 1)."""
        vectors: Tensor = self.pooling(hidden, mask)
        if not self.pair:
            return vectors
        first, second = vectors.reshape(2, -1, vectors.shape[1]).unbind()
        cosine = F.cosine_similarity(first, second, dim=1).unsqueeze(1)
        first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
        return torch.cat([(first - second).abs(), first * second, cosine], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, F) to outputs (B, O)."""
        outputs: Tensor = self.linear(self.dropout(features))
        return outputs

    def layout(self) -> list[Layer]:
        """Pooling and the linear layer; there is none for pairs."""
        pooling = [] if self.pair else self.pooling.layout()
        return pooling and [*pooling, Layer.dense(self.linear)]


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
    linear: nn.Linear, features: Tensor, targets: Tensor, loss: RowLoss, *, l2: float = 1e-3, iterations: int = 200
) -> None:
    """Fit a head's linear layer to frozen features, (N, F) or (N, 1, F) of tokens, with L-BFGS on the task's own loss.

    Features are centred and scaled while fitting, so that one ``l2`` suits every base model, and that is folded back
    into the weights afterwards. One scale serves all features: a scale of each one's own would give a feature that
    hardly varies a huge weight, which the first change of the base model then multiplies. The start is zero: the
    result depends on nothing random.
    """
    flat = features.flatten(0, -2)
    mean, deviation = flat.mean(0), flat.std(0, correction=0).mean().clamp_min(1e-6)
    scaled = (features - mean) / deviation
    weight = torch.zeros_like(linear.weight, requires_grad=True)
    bias = torch.zeros_like(linear.bias, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(scaled @ weight.T + bias, targets).mean() + l2 * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        linear.weight.copy_(weight / deviation)
        linear.bias.copy_(bias - (weight / deviation) @ mean)
