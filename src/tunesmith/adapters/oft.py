"""Rotations of blocks of each weight (Qiu et al. 2023, "Controlling Text-to-Image Diffusion by Orthogonal Finetuning"), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.adapting import by_peft
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(by_peft.Targets):
    """Size and place of the rotations."""

    block_size: int = param(
        32,
        "Inputs that are rotated together; it divides the inputs of every layer.",
        ge=2,
        search=Choices((16, 32, 64)),
    )
    dropout: float = param(0.0, "Share of the rotations that a step leaves out.", ge=0, lt=1, search=Range(0, 0.2))
    exact: bool = param(
        False, "Invert the matrices of the Cayley transform, instead of the first terms of their series: slower."
    )


class Adapter(by_peft.PeftAdapter):
    """OFT."""

    learning_rate = 1e-3
    turns_layers = True
    options: Params

    def config(self, backbone: Backbone) -> Any:
        import peft

        return peft.OFTConfig(
            r=0,
            oft_block_size=self.options.block_size,
            module_dropout=self.options.dropout,
            use_cayley_neumann=not self.options.exact,
            target_modules=by_peft.targets(backbone, self.options.targets),
        )
