"""A factor for each key, value and inner activation (Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning", (IA)3), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.adapting import by_peft
from tunesmith.errors import UsageError
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Where the factors go."""

    targets: tuple[str, ...] | None = param(
        None, "Names of the layers whose outputs are scaled; none: keys and values and what feedforward names."
    )
    feedforward: tuple[str, ...] | None = param(
        None, "Those of targets whose inputs are scaled instead; none: the last layer of each feed-forward part."
    )


class Adapter(by_peft.PeftAdapter):
    """(IA)3."""

    learning_rate = 1e-2
    options: Params

    def config(self, backbone: Backbone) -> Any:
        import peft
        from peft.utils import constants

        kind = backbone.model.config.model_type
        chosen: dict[str, Any] = {
            "targets": self.options.targets or constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING.get(kind),
            "feedforward": self.options.feedforward
            or constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING.get(kind),
        }
        for name, layers in chosen.items():
            if layers is None:
                hint = f"name them by adapter.{name}"
                raise UsageError(f"which layers (IA)3 scales in a model of type '{kind}' is not known", hint=hint)
            by_peft.targets(backbone, layers, name)
        return peft.IA3Config(
            target_modules=list(chosen["targets"]),
            feedforward_modules=list(chosen["feedforward"]),
            fan_in_fan_out=by_peft.is_turned(backbone),
        )
