"""Heads that find relations: of a marked pair, or between all entities of a text; and the loss of the latter.

Entities are found by a tag for each word, relations by comparing words: each word has, for every relation, one vector as
its head and one as its tail, and the score of a pair is their product. So outputs grow with the words of a text, not with
its pairs, and what is found in windows of a text can be put together word by word (after Bekoulis et al. 2018, "Joint
entity recognition and relation extraction as a multi-head selection problem"; product scores as in Su et al. 2022,
"Global Pointer").

Shapes: B sequences, T tokens, W width of the base model, O tags, R relations, K numbers of a word's vector, P pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.heads import IGNORED, Head, Pooling, RowLoss
from tunesmith.heads.tokens import token_cross_entropy
from tunesmith.outputs import PAIR_COLUMNS, pair_scores, parts


class MarkedHead(Head):
    """One label of a marked pair, from the mean vector of each mention with its markers, and the text's vector.

    After Baldini Soares et al. 2019 ("Matching the Blanks"), who found the vectors at the mentions to tell more than the
    text's own.
    """

    reads = ("marks",)
    """(B, T): 1 at tokens of the first mention, 2 of the second, 3 of both."""

    linear: nn.Linear

    def __init__(self, width: int, outputs: int, *, pooling: str, dropout: float) -> None:
        super().__init__()
        self.pooling = Pooling(pooling, width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(3 * width, outputs)
        self.pools = self.pooling.query is None

    def features(self, hidden: Tensor, mask: Tensor | None, marks: Tensor | None = None) -> Tensor:
        """Vectors of both mentions and of the text (B, 3W); zeros for a mention that was cut off."""
        assert marks is not None, "texts of marked pairs come with their marks"
        hidden = hidden.float()
        mentions = [_mean(hidden, (marks & bit) > 0) for bit in (1, 2)]
        return torch.cat([*mentions, self.pooling(hidden, mask)], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Features (B, 3W) to outputs (B, O)."""
        outputs: Tensor = self.linear(self.dropout(features))
        return outputs


class TripleHead(Head):
    """Outputs of each token (B, T, O + 2RK): its tags, and its vectors as head and as tail of each relation.

    A warm start fits the tags; the vectors are learned by comparing words, so they start at random.
    """

    linear: nn.Linear

    def __init__(self, width: int, tags: int, relations: int, *, rank: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, tags)
        self.mix = nn.Linear(width + tags, width)
        self.pairs = nn.Linear(width, 2 * relations * (rank + 1))

    def features(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The token vectors (B, T, W)."""
        return hidden.float()

    def classify(self, features: Tensor) -> Tensor:
        """Token vectors to outputs; what a word may relate to depends on what it is, so tags go into the vectors."""
        features = self.dropout(features)
        tags = self.linear(features)
        mixed = F.gelu(self.mix(torch.cat([features, tags.softmax(-1)], dim=-1)))
        return torch.cat([tags, self.pairs(self.dropout(mixed))], dim=-1)


def triple_loss(tags: int, relations: int, *, relation_weight: float = 1.0, label_smoothing: float = 0.0) -> RowLoss:
    """Mean loss of a sequence's tags, and that of its pairs' relations, each of which holds or not.

    Its targets are (B, T + P(4 + R)): tags, then pairs as ``outputs.PAIR_COLUMNS`` says, ``IGNORED`` where there is none. Outputs
    that are tags alone (B, T, O) have the loss of the tags, so that a warm start can fit these.
    """
    named_loss = token_cross_entropy(label_smoothing=label_smoothing)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        length = outputs.shape[1]
        labels, columns = targets[:, :length], targets[:, length:]
        tagging = named_loss(outputs[..., :tags], labels)
        if outputs.shape[-1] == tags or not columns.shape[1]:
            return tagging
        _, heads, tails = parts(outputs, tags, relations)
        pairs = columns.reshape(len(columns), -1, PAIR_COLUMNS + relations)
        exists = pairs[..., 0] != IGNORED
        places = pairs[..., :PAIR_COLUMNS].clamp_min(0)
        named = labels != IGNORED
        head_means, tail_means = _span_means(heads, named, places[..., :2]), _span_means(tails, named, places[..., 2:])
        holds = pairs[..., PAIR_COLUMNS:].clamp_min(0).to(outputs.dtype)
        doubts = F.binary_cross_entropy_with_logits(pair_scores(head_means, tail_means), holds, reduction="none")
        related: Tensor = (doubts.sum(2) * exists).sum(1) / exists.sum(1).clamp_min(1)
        return tagging + relation_weight * related

    return loss


def _span_means(vectors: Tensor, named: Tensor, places: Tensor) -> Tensor:
    """Mean vectors (B, P, R, K) of spans (B, P, 2) over those of their tokens that carry a tag (B, T)."""
    weights = named.to(vectors.dtype)
    sums = F.pad((vectors * weights[..., None, None]).flatten(2).cumsum(1), (0, 0, 1, 0))
    counts = F.pad(weights.cumsum(1), (1, 0))
    start, end = places[..., 0], places[..., 1]
    rows = torch.arange(len(places), device=places.device)[:, None]
    total = (counts[rows, end] - counts[rows, start]).clamp_min(1)
    means: Tensor = (sums[rows, end] - sums[rows, start]) / total[..., None]
    return means.reshape(*places.shape[:2], *vectors.shape[2:])


def _mean(hidden: Tensor, chosen: Tensor) -> Tensor:
    """Mean vector (B, W) of the chosen tokens; zero where there are none."""
    weights = chosen.to(hidden.dtype)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1)
    return torch.einsum("bt,btw->bw", weights, hidden)
