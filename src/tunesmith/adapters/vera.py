"""Updates by random matrices that all layers share, of which only scales train (Kopiczko et al. 2024, "VeRA: Vector-based Random Matrix Adaptation"), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.adapting import by_peft
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(by_peft.Targets):
    """Size and place of the updates."""

    rank: int = param(256, "Rank of the shared matrices.", ge=1, search=Choices((64, 256, 1024)))
    dropout: float = param(0.0, "Dropout before each update.", ge=0, lt=1, search=Range(0, 0.2))
    d_initial: float = param(0.1, "What the scales between the two matrices start as.", gt=0)
    seed: int = param(0, "Seed of the shared matrices, which are saved too.", ge=0)


class Adapter(by_peft.PeftAdapter):
    """VeRA."""

    learning_rate = 1e-2
    options: Params

    def config(self, backbone: Backbone) -> Any:
        import peft

        return peft.VeraConfig(
            r=self.options.rank,
            vera_dropout=self.options.dropout,
            d_initial=self.options.d_initial,
            projection_prng_key=self.options.seed,
            target_modules=by_peft.targets(backbone, self.options.targets),
            fan_in_fan_out=by_peft.is_turned(backbone),
        )
