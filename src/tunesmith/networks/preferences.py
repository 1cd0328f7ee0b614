"""Learning from pairs of answers of which one was preferred (Rafailov et al. 2023, "Direct Preference Optimization").

The model is to find the preferred answer more likely, and the other one less, than the model that it started from does:
loss = -log sigmoid(beta * margin), where the margin is how much further the log-likelihood of the preferred answer has risen.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tunesmith.data.examples import Examples
from tunesmith.data.written import WrittenExamples
from tunesmith.networks.generators import Generator
from tunesmith.networks.language_model import LanguageModel
from tunesmith.text.encode import Encoded


class PreferenceModel(LanguageModel):
    """A generator beside the one that it was; inputs without ``pairs`` it reads as any language model does.

    Args:
        backbone: the generator, with its adapter. Where that can be switched off, the frozen model is this one without
            it; else it is a copy.
        beta: how far the model may move: the smaller, the further.
        label_smoothing: share of the pairs whose order is taken to be wrong (Mitchell 2023).
    """

    def __init__(self, backbone: Generator, *, beta: float, label_smoothing: float = 0.0) -> None:
        super().__init__(backbone)
        self.beta, self.doubt = beta, label_smoothing
        has_adapter = any(True for _ in _adapters(backbone)) and not backbone.lent
        self.reference = None if has_adapter else LanguageModel(copy.deepcopy(backbone).requires_grad_(False)).eval()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What each pair costs.

        Args:
            inputs: of ``LanguageModel``, the preferred answers first, then the others in the same order; and ``pairs``
                (B,), whatever is in it.

        Returns:
            (B, 3) in float32: the loss, whether the preferred answer gained on the other one, and by how much (nats).
        """
        if "pairs" not in inputs:
            return super().forward(inputs)
        read = {name: tensor for name, tensor in inputs.items() if name != "pairs"}
        with torch.no_grad():
            before = self._reference(read)
        gained = before - super().forward(read)[:, 0]
        preferred, other = gained.chunk(2)
        margin = preferred - other
        right, wrong = F.logsigmoid(self.beta * margin), F.logsigmoid(-self.beta * margin)
        doubt = self.doubt if self.training else 0.0
        return torch.stack([-(1 - doubt) * right - doubt * wrong, (margin > 0).float(), margin], dim=1)

    def _reference(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Negative log-likelihood (2B,) of the answers by the frozen model."""
        if self.reference is not None:
            frozen: Tensor = self.reference(inputs)
            return frozen[:, 0]
        with _without_adapter(self.backbone):
            training = self.training
            self.eval()
            try:
                return super().forward(inputs)[:, 0]
            finally:
                self.train(training)

    def train(self, mode: bool = True) -> PreferenceModel:
        """Training mode, but the frozen model never drops anything."""
        super().train(mode)
        if self.reference is not None:
            self.reference.eval()
        return self


class PreferenceExamples(Examples):
    """Pairs of sequences: ``encoded`` holds two of each row, the preferred answer first."""

    def __init__(self, encoded: Encoded, pad_id: int, *, decoder: bool, start: int | None = None) -> None:
        super().__init__([encoded], pad_id)
        self._answers = WrittenExamples(encoded, pad_id, decoder=decoder, start=start)
        self.lengths = self._answers.lengths[0::2] + self._answers.lengths[1::2]
        self.rows = self.rows[0::2]
        self.left_out = encoded.left_out
        self.targets = np.ones(len(self.rows), np.float32)

    def tokens(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Inputs of ``PreferenceModel``."""
        both = self._answers.tokens(np.concatenate([2 * indices, 2 * indices + 1]))
        return {**both, "pairs": torch.from_numpy(np.asarray(indices))}

    def _inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        return self.tokens(indices)

    def targets_of(self, indices: np.ndarray) -> Tensor:
        """One for each pair: what is to be learned is among the inputs."""
        return torch.from_numpy(self.targets[indices])


def validation_scores(outputs: Any) -> dict[str, float]:
    """Mean ``loss``, share of pairs in the right order (``preference_accuracy``) and mean ``margin`` in nats."""
    loss, right, margin = np.mean(np.asarray(outputs, np.float64), axis=0).tolist()
    return {"loss": loss, "preference_accuracy": right, "margin": margin}


def _adapters(module: nn.Module) -> Iterator[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return (part for part in module.modules() if isinstance(part, BaseTunerLayer))


@contextmanager
def _without_adapter(backbone: nn.Module) -> Iterator[None]:
    """The model as it was before the adapter, inside."""
    for layer in _adapters(backbone):
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in _adapters(backbone):
            layer.enable_adapters(True)
