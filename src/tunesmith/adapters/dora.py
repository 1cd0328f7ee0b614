"""Low-rank updates of the weights' directions, with their lengths trained apart (Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation"), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.adapting import by_peft

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(by_peft.LowRank):
    """Size and place of the updates."""


class Adapter(by_peft.LowRankAdapter):
    """DoRA."""

    learning_rate = 5e-4

    def config(self, backbone: Backbone) -> Any:
        made = super().config(backbone)
        made.use_dora = True
        return made
