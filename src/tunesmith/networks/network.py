"""The network that trains: a base model with the task's head on it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tunesmith.heads import Head
from tunesmith.networks.backbones import Backbone

Inputs = Mapping[str, Tensor]
"""A batch: ``input_ids`` (B, T) with ``attention_mask`` (B, T) where rows are padded; or, where the lower blocks are
frozen, their kept ``hidden`` states (B, T, W); or, where all are, the kept ``features`` (B, F). Of pairs that are
read separately, the B first texts are followed by the B second ones, and so on. Beside these, what the head ``reads``:
``parts`` (P,) numbers the texts of a row, ``marks`` (B, T) says which tokens are marked."""


class Network(nn.Module):
    """Base model and head; ``depth`` blocks from the bottom are frozen and may be skipped by kept states."""

    def __init__(self, backbone: Backbone, head: Head, *, depth: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.depth = depth

    def forward(self, inputs: Inputs) -> Tensor:
        """Outputs in float32, as the head makes them."""
        features = inputs["features"] if "features" in inputs else self.features(inputs)
        with torch.autocast(features.device.type, enabled=False):
            outputs: Tensor = self.head.classify(features.float())
            return outputs

    def features(self, inputs: Inputs) -> Tensor:
        """What the head's last layer sees: (B, F), or (B, T, F) of every token."""
        mask = inputs.get("attention_mask")
        if "hidden" in inputs:
            hidden = self.backbone.upper(inputs["hidden"], mask, self.depth)
        else:
            read = {name: tensor for name, tensor in inputs.items() if name not in self.head.reads}
            hidden = self.backbone(**{"attention_mask": None, **read})
        told = {name: inputs[name] for name in self.head.reads if name in inputs}
        with torch.autocast(hidden.device.type, enabled=False):
            features: Tensor = self.head.features(hidden, mask, **told)
            return features

    def train(self, mode: bool = True) -> Network:
        """Training mode, but frozen blocks give the same states in both modes."""
        super().train(mode)
        if mode and self.depth:
            self.backbone.eval()
            for layer in list(self.backbone.layers)[self.depth :]:
                layer.train()
        return self
