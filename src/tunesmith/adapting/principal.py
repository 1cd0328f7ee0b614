"""Updates that start as a part of the base weights (PiSSA, OLoRA), saved as plain LoRA on the untouched base model.

With W = R + s B0 A0 at the start and R + s B A after training, the change of W is s (B A - B0 A0), which is the LoRA of
twice the rank with A' = [A; A0] and B' = [B, -B0] and the same scale s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
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


def rewrite(folder: Path, start: Mapping[str, Tensor]) -> None:
    """Turn a saved adapter into plain LoRA on the base model as it was before ``start`` was taken out of it."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, weight in load_file(folder / "adapter_model.safetensors").items():
        is_first = ".lora_A." in name
        before = start[name] if is_first else -start[name]
        weights[name] = torch.cat([weight, before], dim=0 if is_first else 1).contiguous()
    save_file(weights, folder / "adapter_model.safetensors", {"format": "pt"})
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    # alpha / rank, or alpha / sqrt(rank), stays what it was.
    config["lora_alpha"] *= 2**0.5 if config["use_rslora"] else 2
    config["r"], config["init_lora_weights"] = 2 * config["r"], True
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
