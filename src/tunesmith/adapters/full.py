"""Every weight of the base model trains, the token embeddings only if asked (``train.freeze_embeddings false``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.adapters import base

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Full fine-tuning has no parameters of its own."""


class Adapter(base.Adapter):
    """Full fine-tuning."""

    learning_rate = 1e-4

    def apply(self, backbone: Backbone) -> None:
        backbone.requires_grad_(True)
