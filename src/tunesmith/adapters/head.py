"""Only the head trains; the base model stays as pretrained and reads each text once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.adapters import base

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """A head alone has no parameters of its own."""


class Adapter(base.Adapter):
    """A head on frozen features."""

    learning_rate = 1e-3

    def apply(self, backbone: Backbone) -> None:
        backbone.requires_grad_(False)

    def frozen_depth(self, backbone: Backbone) -> int:
        return backbone.depth
