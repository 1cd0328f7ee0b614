"""Keys and values that every attention finds before the text's own (Li and Liang 2021, "Prefix-Tuning")."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.adapters import base
from tunesmith.params import Choices, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Length of the prefix."""

    tokens: int = param(16, "Vectors that each attention finds before the text.", ge=1, search=Choices((8, 16, 32, 64)))


class Adapter(base.Adapter):
    """Prefix tuning."""

    learning_rate = 1e-2
    needs_base = True
    options: Params

    def apply(self, backbone: Backbone) -> None:
        from tunesmith.networks import prefixes

        backbone.requires_grad_(False)
        prefixes.insert(backbone, self.options.tokens)

    def save(self, backbone: Backbone, folder: Path) -> None:
        from tunesmith.networks import insertions

        insertions.save(backbone.model, folder)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        import torch

        from tunesmith.networks import insertions

        with torch.random.fork_rng():  # what is drawn is replaced
            self.apply(backbone)
        insertions.restore(backbone.model, folder)
