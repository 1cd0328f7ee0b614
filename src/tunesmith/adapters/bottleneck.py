"""Small layers between the frozen ones (Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP"; Pfeiffer et al. 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tunesmith import params
from tunesmith.adapters import base
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Size and place of the bottlenecks."""

    placement: Literal["houlsby", "pfeiffer"] = param(
        "houlsby",
        "Where they are: after the attention and after the feed-forward part of each block, or once at its end.",
        search=Choices(("houlsby", "pfeiffer")),
    )
    size: int = param(64, "Width of each bottleneck.", ge=1, search=Choices((16, 32, 64, 128)))
    function: Literal["gelu", "relu", "silu", "tanh"] = param("gelu", "Function inside.")
    dropout: float = param(0.0, "Dropout of what a bottleneck adds.", ge=0, lt=1, search=Range(0, 0.2))
    norms: bool | None = param(
        None, "Train the blocks' norms too; none: as in the papers, with houlsby and not with pfeiffer."
    )


class Adapter(base.Adapter):
    """Bottlenecks."""

    learning_rate = 1e-3
    needs_base = True
    options: Params

    def apply(self, backbone: Backbone) -> None:
        from tunesmith.networks import bottlenecks

        backbone.requires_grad_(False)
        self._insert(backbone)
        trains_norms = self.options.placement == "houlsby" if self.options.norms is None else self.options.norms
        for norm in bottlenecks.norms(backbone) if trains_norms else ():
            norm.requires_grad_(True)

    def _insert(self, backbone: Backbone) -> None:
        from tunesmith.networks import bottlenecks

        given = self.options
        bottlenecks.insert(backbone, given.placement, given.size, given.function, given.dropout)

    def save(self, backbone: Backbone, folder: Path) -> None:
        from tunesmith.networks import insertions

        insertions.save(backbone.model, folder)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        from tunesmith.networks import insertions

        backbone.requires_grad_(False)
        self._insert(backbone)
        insertions.restore(backbone.model, folder)
