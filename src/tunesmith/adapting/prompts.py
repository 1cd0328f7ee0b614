"""What the adapters have in common that put virtual tokens before a text; they are saved as PEFT lays them out."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith import params
from tunesmith.adapters import base
from tunesmith.errors import UsageError
from tunesmith.params import Choices, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone
    from tunesmith.networks.virtual_tokens import VirtualTokens

_WEIGHTS, _CONFIG, _TABLE = "adapter_model.safetensors", "adapter_config.json", "prompt_embeddings"


class Params(params.Params):
    """Length of the prompt."""

    tokens: int = param(16, "Virtual tokens before each text.", ge=1, search=Choices((8, 16, 32, 64)))


class PromptAdapter(base.Adapter):
    """Virtual tokens before each text, for base models without a head."""

    needs_base = True
    options: Any
    peft_type: ClassVar[str]
    """PEFT's name of the method."""

    @property
    def taken_tokens(self) -> int:
        return int(self.options.tokens)

    @abstractmethod
    def tokens(self, backbone: Backbone) -> VirtualTokens:
        """The virtual tokens as they start."""

    def apply(self, backbone: Backbone) -> None:
        from tunesmith.networks import virtual_tokens
        from tunesmith.networks.generators import Generator

        if isinstance(backbone, Generator):
            hint = "take prefix, which holds in generation too, or lora"
            raise UsageError(
                "virtual tokens stand before texts that are read, not written", where="adapter.name", hint=hint
            )
        backbone.requires_grad_(False)
        virtual_tokens.insert(backbone, self.tokens(backbone))

    def save(self, backbone: Backbone, folder: Path) -> None:
        from safetensors.torch import save_file

        table = backbone.model.virtual_tokens().detach().float().cpu().contiguous()
        save_file({_TABLE: table}, folder / _WEIGHTS, {"format": "pt"})
        config = {
            "peft_type": self.peft_type,
            "task_type": "FEATURE_EXTRACTION",
            "num_virtual_tokens": len(table),
            "token_dim": table.shape[1],
            "num_transformer_submodules": 1,
            "num_layers": backbone.depth,
            "num_attention_heads": backbone.model.config.num_attention_heads,
            "inference_mode": True,
            "base_model_name_or_path": str(backbone.path),
            **({"encoder_hidden_size": table.shape[1]} if self.peft_type == "P_TUNING" else {}),
        }
        (folder / _CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")

    def restore(self, backbone: Backbone, folder: Path) -> None:
        from safetensors.torch import load_file

        from tunesmith.networks import virtual_tokens
        from tunesmith.networks.virtual_tokens import VirtualTokens

        backbone.requires_grad_(False)
        tokens = VirtualTokens(load_file(folder / _WEIGHTS)[_TABLE])
        virtual_tokens.insert(backbone, tokens.requires_grad_(False))
