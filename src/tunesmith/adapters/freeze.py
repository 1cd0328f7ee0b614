"""The lower blocks and the embeddings stay as pretrained; their output is computed once and kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.adapters import base
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """How much of the base model trains."""

    train_layers: int = param(2, "How many of the uppermost blocks train.", ge=1)


class Adapter(base.Adapter):
    """Training of the uppermost blocks."""

    learning_rate = 1e-4
    options: Params

    def apply(self, backbone: Backbone) -> None:
        backbone.requires_grad_(False)
        for layer in list(backbone.layers)[self.frozen_depth(backbone) :]:
            layer.requires_grad_(True)

    def frozen_depth(self, backbone: Backbone) -> int:
        return max(0, backbone.depth - self.options.train_layers)
