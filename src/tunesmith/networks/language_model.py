"""The network that learns to write: a generator and the loss of the tokens that it is to learn.

Logits are made only where a token carries loss, a few hundred rows at a time, so that neither time nor memory goes
into the rest: with a vocabulary of 50,000, one row of logits is as large as 90 vectors of a small model.

Shapes: B sequences, T tokens, N tokens that carry loss, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from tunesmith.networks.generators import Generator
from tunesmith.outputs import IGNORED

CHUNK_LOGITS = 1 << 23
"""Logits that are in memory at once: 32 MiB in float32."""


class NoHead(nn.Module):
    """Stands where other networks have a head."""

    linear = None

    def layout(self) -> tuple[()]:
        """Nothing that another library could load."""
        return ()


class LanguageModel(nn.Module):
    """A generator with its loss; ``head`` is empty, since the head over the vocabulary is part of the model.

    Args:
        backbone: the generator.
        label_smoothing: share of the target spread over the vocabulary (Szegedy et al. 2016), in training mode only, so
            that what is measured is always the plain likelihood.
    """

    depth = 0

    def __init__(self, backbone: Generator, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = NoHead()
        self.label_smoothing = label_smoothing

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What each sequence costs.

        Args:
            inputs: what the generator takes, and ``labels`` (B, T): the token to be written at each position,
                ``heads.IGNORED`` where there is nothing to learn.

        Returns:
            (B, 2) in float32: negative log-likelihood in nats summed over the labelled tokens, and their number.
        """
        labels = inputs["labels"]
        hidden = self.backbone(**{name: tensor for name, tensor in inputs.items() if name != "labels"})
        rows, positions = (labels != IGNORED).nonzero(as_tuple=True)
        smoothing = self.label_smoothing if self.training else 0.0
        losses = self.token_losses(hidden[rows, positions], labels[rows, positions], smoothing)
        totals = losses.new_zeros(len(labels)).index_add(0, rows, losses)
        counts = losses.new_zeros(len(labels)).index_add(0, rows, torch.ones_like(losses))
        return torch.stack([totals, counts], dim=1)

    def token_losses(self, hidden: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Loss (N,) in float32 of writing ``targets`` (N,) after vectors (N, W)."""
        projection = self.backbone.projection()
        if projection is None:
            return _by_the_model(self.backbone, hidden, targets, smoothing)
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        with torch.autocast(hidden.device.type, enabled=False):
            losses: Tensor = _AffineLoss.apply(  # type: ignore[no-untyped-call]
                hidden, projection.weight, projection.bias, targets, projection.scale, smoothing
            )
        return losses


class _AffineLoss(torch.autograd.Function):
    """Cross entropy of ``scale * hidden @ weight.T + bias``, with logits made chunk by chunk and never kept.

    Where the weight is frozen, the gradient of ``hidden`` is made in the forward pass, while the logits are there, and
    the backward pass only scales it. Where the weight trains, one chunk is kept, and more are made again.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, scale: float, smoothing: float
    ) -> Tensor:
        ctx.scale, ctx.smoothing = scale, smoothing
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        pieces = _chunks(len(hidden), len(weight))
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        slope = torch.empty_like(hidden) if needs_hidden and not needs_weight else None
        table, kept = weight.to(hidden.dtype), None
        for piece in pieces:
            logits = _logits(hidden[piece], table, bias, scale)
            if slope is None and not (needs_weight and len(pieces) == 1):
                losses[piece] = _losses(logits, targets[piece], smoothing)
                continue
            losses[piece], kept = _losses_and_slopes(logits, targets[piece], smoothing)
            if slope is not None:
                slope[piece] = scale * kept.to(hidden.dtype) @ table
        ctx.save_for_backward(hidden, weight, bias, targets, slope, kept if needs_weight else None)
        return losses

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, slope, kept = ctx.saved_tensors
        if slope is not None:
            return slope * upstream.unsqueeze(1).to(slope.dtype), None, None, None, None, None
        to_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        to_weight, table = torch.zeros_like(weight), weight.to(hidden.dtype)
        for piece in _chunks(len(hidden), len(weight)):
            if kept is None:
                logits = _logits(hidden[piece], table, bias, ctx.scale)
                _, slopes = _losses_and_slopes(logits, targets[piece], ctx.smoothing)
            else:
                slopes = kept.clone()  # the graph may be walked again
            slopes = slopes.mul_(upstream[piece].unsqueeze(1) * ctx.scale).to(hidden.dtype)
            if to_hidden is not None:
                to_hidden[piece] = slopes @ table
            to_weight += (slopes.T @ hidden[piece]).to(weight.dtype)
        return to_hidden, to_weight, None, None, None, None


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_LOGITS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """(n, V) in float32, a tensor of its own."""
    logits = (hidden @ weight.T).float()
    if scale != 1.0:
        logits *= scale
    return logits if bias is None else logits.add_(bias.float())


def _losses(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Loss of each row."""
    return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)


def _losses_and_slopes(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Loss of each row, and its slopes in the logits, whose memory they take; every logit is exponentiated once."""
    chosen = logits.gather(1, targets.unsqueeze(1))
    mean = logits.mean(1, keepdim=True) if smoothing else 0.0
    top = logits.amax(1, keepdim=True)
    total = logits.sub_(top).exp_().sum(1, keepdim=True)
    losses = top + total.log() - (1 - smoothing) * chosen - smoothing * mean
    slopes = logits.div_(total)
    if smoothing:
        slopes -= smoothing / slopes.shape[1]
    slopes[torch.arange(len(targets), device=targets.device), targets] -= 1 - smoothing
    return losses.squeeze(1), slopes


def _by_the_model(backbone: Generator, hidden: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """The same with logits by the model's own way, chunk by chunk, which the backward pass makes again."""

    def losses(hidden: Tensor, targets: Tensor) -> Tensor:
        logits = backbone.logits(hidden).float()
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)

    vocabulary = int(backbone.model.config.get_text_config().vocab_size)
    pieces = _chunks(len(hidden), vocabulary)
    found = [checkpoint(losses, hidden[piece], targets[piece], use_reentrant=False) for piece in pieces]
    return torch.cat([hidden.new_zeros(0, dtype=torch.float32), *found])
