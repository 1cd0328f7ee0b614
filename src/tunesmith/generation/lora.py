"""Low-rank updates out of a PEFT folder, as numbers: which of them can share a batch, and why others cannot.

Plain LoRA can, with rank-stabilised scales and with ranks and layers of its own; so can what was trained from a part of the
base weights (PiSSA, OLoRA) and saved as plain LoRA on the untouched base model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from tunesmith.errors import UsageError

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX, _FIRST, _SECOND = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# What PEFT's config may say without changing what is computed from the weights that it saved.
_HARMLESS = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode",
    "r", "target_modules", "exclude_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "use_rslora",
    "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_config", "megatron_core",
    "loftq_config", "eva_config", "qalora_group_size", "runtime_config", "ensure_weight_tying",
}  # fmt: skip
_STARTS = (True, False, "gaussian", "orthogonal", "eva")
"""Ways in which updates start that leave the base weights as they are."""


@dataclass(frozen=True, eq=False)
class Lora:
    """A low-rank update of some linear layers of a model.

    Args:
        name: what it is called in messages.
        layers: by a layer's name in the model the matrices A (rank, inputs) and B (outputs, rank), scale included.
    """

    name: str
    layers: Mapping[str, tuple[Tensor, Tensor]] = field(repr=False)

    @property
    def ranks(self) -> int:
        """Of all layers together."""
        return sum(len(below) for below, _ in self.layers.values())


def read(name: str, folder: str | Path) -> Lora:
    """The low-rank update in a folder, such as a bundle's.

    Raises:
        UsageError: it holds none, or one that cannot share a batch with others.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / _WEIGHTS)
    except (OSError, ValueError, SafetensorError):
        raise refusal(name, f"{folder} holds no adapter that PEFT saved as safetensors") from None
    if why := next(_obstacles(config), None):
        raise refusal(name, why)
    return Lora(name, dict(_layers(name, config, weights)))


def refusal(name: str, why: str) -> UsageError:
    """The error of an adapter that cannot share a batch."""
    return UsageError(
        f"adapter '{name}' cannot share a batch with others: {why}",
        hint="only plain LoRA can; answer with it by itself",
    )


def _obstacles(config: Mapping[str, Any]) -> Iterator[str]:
    """What the adapter does beside adding a product of two matrices."""
    import peft

    kind = config.get("peft_type")
    if kind != "LORA":
        yield f"it is {kind}, which is no low-rank update of each layer's own output"
        return
    if config.get("use_dora"):
        yield "it is DoRA, which also scales the base model's weights"
    start = config.get("init_lora_weights", True)
    if start not in _STARTS:
        yield f"it began as a part of the base weights (init_lora_weights {start!r}) and was not saved as plain LoRA"
    plain = json.loads(json.dumps(peft.LoraConfig().to_dict(), default=str))
    for option, value in config.items():
        if option not in {*_HARMLESS, "use_dora", "init_lora_weights"} and (value or None) != (
            plain.get(option) or None
        ):
            yield f"it has {option} {value!r}"


def _layers(
    name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    for key, below in weights.items():
        layer = key.removeprefix(_PREFIX).removesuffix(_FIRST)
        above = weights.get(key.replace(_FIRST, _SECOND))
        if not key.endswith((_FIRST, _SECOND)) or above is None or below.dim() != 2:
            raise refusal(name, f"it holds '{key}', which is no part of a linear layer's update")
        if key.endswith(_SECOND):
            continue
        yield layer, (below, above.float().mul(_scale(config, layer, len(below))))


def _scale(config: Mapping[str, Any], layer: str, rank: int) -> float:
    """What the product is multiplied by: alpha / rank, or alpha / sqrt(rank)."""
    from peft.utils.other import get_pattern_key

    own = config.get("alpha_pattern") or {}
    alpha = own.get(get_pattern_key(own, layer), config["lora_alpha"])
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))
