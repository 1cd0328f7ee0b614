"""Updates that start as a part of the base weights (PiSSA, OLoRA), in the end plain LoRA on the untouched base model.

With W = R + s B0 A0 at the start and R + s B A after training, the change of W is s (B A - B0 A0), which is the LoRA of
twice the rank with A' = [A; A0] and B' = [B, -B0] and the same scale s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from tunesmith.networks.backbones import Backbone


def check_orientation(backbone: Backbone) -> None:
    """Refuse OLoRA where PEFT would take the wrong factor.

    Raises:
        UsageError: the layers keep their weights the other way round.
    """
    from tunesmith.adapting import by_peft

    if by_peft.is_turned(backbone):
        kind = backbone.model.config.model_type
        hint = "take pissa, or zero"
        raise UsageError(f"OLoRA does not know the layers of type '{kind}'", where="adapter.start", hint=hint)


def factors(wrapped: Any) -> dict[str, Tensor]:
    """The A and B matrices as they are now, by the names that PEFT saves them under."""
    import peft

    return {name: weight.detach().cpu().clone() for name, weight in peft.get_peft_model_state_dict(wrapped).items()}


def settle(wrapped: Any, start: Mapping[str, Tensor]) -> None:
    """Turn trained layers into plain LoRA on the base weights as they were before ``start`` was taken out of them."""
    import torch
    from peft.tuners.lora import LoraLayer

    (adapter,) = wrapped.peft_config
    for name, layer in wrapped.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        below, above = layer.lora_A[adapter], layer.lora_B[adapter]
        first, second = (start[f"{name}.{part}.weight"].to(below.weight) for part in ("lora_A", "lora_B"))
        taken = layer.scaling[adapter] * (second @ first)
        with torch.no_grad():
            layer.get_base_layer().weight.add_(taken.T if layer.fan_in_fan_out else taken)
        below.weight = torch.nn.Parameter(torch.cat([below.weight.detach(), first]))
        above.weight = torch.nn.Parameter(torch.cat([above.weight.detach(), -second], dim=1))
        below.out_features, above.in_features = len(below.weight), len(below.weight)
        layer.r[adapter] = len(below.weight)
    config = wrapped.peft_config[adapter]
    # alpha / rank, or alpha / sqrt(rank), stays what it was.
    config.lora_alpha *= 2**0.5 if config.use_rslora else 2
    config.r, config.init_lora_weights = 2 * config.r, True
