"""Low-rank updates beside the frozen weights (Hu et al. 2021, "LoRA: Low-Rank Adaptation"), by PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.adapting import by_peft
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(by_peft.LowRank):
    """Size, place and start of the updates."""

    start: Literal["zero", "pissa", "olora"] = param(
        "zero",
        "What the updates start as: nothing, or the base weights' principal part, by SVD (PiSSA, Meng et al. 2024) or QR (OLoRA, Büyükakyüz 2024).",
    )


class Adapter(by_peft.LowRankAdapter):
    """LoRA."""

    learning_rate = 5e-4
    options: Params

    def config(self, backbone: Backbone) -> Any:
        made = super().config(backbone)
        if self.options.start != "zero":
            made.init_lora_weights = self.options.start
        return made

    def apply(self, backbone: Backbone) -> None:
        from tunesmith.adapting import principal

        if self.options.start == "olora":
            principal.check_orientation(backbone)
        super().apply(backbone)
        # Switched off, these updates leave the rest of the base weights, not the base weights.
        backbone.lent = self.options.start != "zero"
        self._start = principal.factors(self._wrapped) if backbone.lent else {}

    def settle(self, backbone: Backbone) -> None:
        if self._start:
            from tunesmith.adapting import principal

            principal.settle(self._wrapped, self._start)
            self._start = {}

    def save(self, backbone: Backbone, folder: Path) -> None:
        self.settle(backbone)
        super().save(backbone, folder)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        super().restore(backbone, folder)
        self._start = {}
