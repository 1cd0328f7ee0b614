"""Embeddings of texts, and the losses that bring alike texts together.

Shapes: B rows, P texts a row (a pair and its hard negatives; a single text has 1), W width of the base model,
D numbers of an embedding. A head's outputs are (B, P * D): the embeddings of a row's texts, one after the other.

Targets are (B, 1 + P), float64: how alike the pair is, from 0 to 1, and a number for each text, which is the same for
the same text, and -1 where a row has fewer hard negatives than others. So a loss that compares rows with each other
knows which of their texts are no different.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.heads import Head, Layer, Pooling, RowLoss, StepLoss


class EmbeddingHead(Head):
    """Pooling, and a projection where embeddings of another size than the base model's are wanted.

    Embeddings leave it in their own length; losses and answers compare their directions.

    Args:
        width: of the base model.
        dimensions: numbers of an embedding; None: ``width``, without a projection.
        pooling: see ``heads.Pooling``.
        dropout: of the pooled vectors, in training.
    """

    reads = ("parts",)

    def __init__(self, width: int, dimensions: int | None = None, *, pooling: str, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.pooling = Pooling(pooling, width)
        self.pools = self.pooling.query is None
        self.linear = None  # an untrained head gives what the base model was trained to give
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(width, dimensions, bias=False) if dimensions else None
        if self.dense is not None:
            nn.init.orthogonal_(self.dense.weight)  # which keeps the angles between embeddings as well as can be

    @property
    def dimensions(self) -> int:
        """Numbers of an embedding."""
        return self.dense.out_features if self.dense is not None else self.width

    def features(self, hidden: Tensor, mask: Tensor | None, parts: Tensor | None = None) -> Tensor:
        """Pooled vectors (B, P * W) of a row's texts, numbered in ``parts`` (P,), which are stacked (P * B, T, W): first texts first."""
        vectors: Tensor = self.pooling(hidden, mask)
        return vectors.reshape(1 if parts is None else len(parts), -1, vectors.shape[1]).transpose(0, 1).flatten(1)

    def classify(self, features: Tensor) -> Tensor:
        """Pooled vectors (B, P * W) to embeddings (B, P * D)."""
        if self.dense is None:
            return self._dropped(features)
        embeddings: Tensor = self.dense(self._dropped(features).reshape(features.shape[0], -1, self.width))
        return embeddings.flatten(1)

    def layout(self) -> list[Layer]:
        """Pooling, the projection if there is one, and the division by the length."""
        pooling = self.pooling.layout()
        dense = [] if self.dense is None else [Layer.dense(self.dense)]
        return pooling and [*pooling, *dense, Layer("Normalize", {})]

    def _dropped(self, features: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(features)
        return dropped


def cosine() -> RowLoss:
    """Squared error of the pair's cosine against how alike it is."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        first, second = _embeddings(outputs, targets)[:, :2].unbind(1)
        return ((first * second).sum(1) - targets[:, 0].float()).square()

    return loss


def ranking(temperature: float = 0.05) -> StepLoss:
    """CoSENT (Su 2022): of any two pairs of the step, the one that is more alike should have the larger cosine.

    The step's loss is ``log(1 + sum exp((cosine of the less alike - cosine of the more alike) / temperature))``; every
    row carries it, so that their mean is it too. It minds the order of the scores alone, as Spearman's correlation does.
    """

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        first, second = _embeddings(outputs, targets)[:, :2].unbind(1)
        cosines, scores = (first * second).sum(1) / temperature, targets[:, 0]
        gaps = cosines[None, :] - cosines[:, None]
        wrong = gaps.masked_fill(scores[:, None] <= scores[None, :], -torch.inf).flatten()
        return torch.cat([wrong, wrong.new_zeros(1)]).logsumexp(0).expand(len(scores))

    return StepLoss(loss)


def in_batch(temperature: float = 0.05) -> StepLoss:
    """Multiple negatives ranking (Henderson et al. 2017), both ways: a text should find its own pair among all others'.

    The mean of two cross-entropies over ``cosine / temperature``: of the first text over all second texts and hard
    negatives of the step, and of the second text over all first texts. A text that equals the asking one, or that some
    row of the step pairs with it, is no negative. A row whose pair is not alike (0) asks nothing, but its texts are
    negatives for the others, also for its own first text.
    """

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        embeddings, numbers, alike = _embeddings(outputs, targets), targets[:, 1:], targets[:, 0] > 0.5
        second = torch.cat(embeddings.unbind(1)[1:])
        forward = _found(embeddings[:, 0], second, _no_negatives(numbers, alike, ask=0), temperature)
        backward = _found(embeddings[:, 1], embeddings[:, 0], _no_negatives(numbers, alike, ask=1), temperature)
        return (forward + backward) / 2 * alike

    return StepLoss(loss)


def matryoshka(loss: RowLoss, sizes: Sequence[int]) -> RowLoss:
    """The mean of a loss over embeddings and over their first numbers alone (Kusupati et al. 2022).

    Args:
        loss: of embeddings.
        sizes: how many of their first numbers must do as well.
    """

    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        embeddings = outputs.reshape(len(outputs), targets.shape[1] - 1, -1)
        cut = [loss(embeddings[:, :, :size].flatten(1), targets) for size in sizes]
        return torch.stack([loss(outputs, targets), *cut]).mean(0)

    return StepLoss(losses) if isinstance(loss, StepLoss) else losses


def _embeddings(outputs: Tensor, targets: Tensor) -> Tensor:
    """Embeddings (B, P, D) of length 1."""
    return F.normalize(outputs.reshape(len(outputs), targets.shape[1] - 1, -1), dim=2)


def _found(asking: Tensor, candidates: Tensor, excluded: Tensor, temperature: float) -> Tensor:
    """Cross-entropy (B,) of the right candidate, which stands in the place of the one who asks."""
    logits = (asking @ candidates.T / temperature).masked_fill(excluded, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(asking), device=asking.device), reduction="none")


def _no_negatives(numbers: Tensor, alike: Tensor, *, ask: int) -> Tensor:
    """Which candidates are no negatives of a row's first (``ask`` 0) or second text (1): itself and its known partners.

    Args:
        numbers: of each row's texts (B, P); below 0: none is there.
        alike: whether the row's pair is (B,).
        ask: which text asks; the other ones of all rows are its candidates.

    Returns:
        (B, B * (P - 1)) for first texts, (B, B) for second ones; False at a row's own partner.
    """
    asking, candidates = numbers[:, ask], numbers[:, 1:].T.flatten() if ask == 0 else numbers[:, 0]
    excluded = (asking[:, None] == candidates) | (candidates < 0)
    for one, other in ((numbers[:, 0], numbers[:, 1]), (numbers[:, 1], numbers[:, 0])):
        knows, is_known = (asking[:, None] == one) & alike, other[:, None] == candidates
        excluded |= (knows.float() @ is_known.float()) > 0
    own = torch.arange(len(numbers), device=numbers.device)
    excluded[own, own] = False
    return excluded
