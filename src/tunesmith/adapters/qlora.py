"""LoRA on a base model whose blocks are held in four bits (Dettmers et al. 2023, "QLoRA"), by PEFT and bitsandbytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tunesmith.adapting import by_peft
from tunesmith.errors import UsageError
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(by_peft.LowRank):
    """Size and place of the updates, and how the base model is held."""

    format: Literal["nf4", "fp4"] = param("nf4", "Format of a weight: four bits of a normal distribution, or a float.")
    quantise_twice: bool = param(True, "Quantise the scales of the weights too: less memory.")


class Adapter(by_peft.LowRankAdapter):
    """QLoRA."""

    learning_rate = 5e-4
    options: Params

    def apply(self, backbone: Backbone) -> None:
        self._quantise(backbone)
        super().apply(backbone)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        self._quantise(backbone)
        super().restore(backbone, folder)

    def _quantise(self, backbone: Backbone) -> None:
        from tunesmith.networks import quantised

        quantised.quantise(backbone, self.options.format, twice=self.options.quantise_twice)

    def merge(self, backbone: Backbone) -> None:
        hint = "serve the bundle as it is, or train with adapter.name lora"
        raise UsageError("merged into four-bit weights, the updates would be rounded away", hint=hint)
