"""Low-rank updates beside the frozen weights (Hu et al. 2021, "LoRA: Low-Rank Adaptation"), by PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import params, quiet
from tunesmith.adapters import base
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Size and place of the updates."""

    rank: int = param(16, "Rank of each update.", ge=1, search=Choices((4, 8, 16, 32, 64)))
    alpha: float = param(32, "Scale of the updates: they are multiplied by alpha / rank.", gt=0)
    dropout: float = param(0.0, "Dropout before each update.", ge=0, lt=1, search=Range(0, 0.2))
    targets: tuple[str, ...] = param(
        ("all-linear",), "Names of the linear layers that get an update; all-linear: every one."
    )


class Adapter(base.Adapter):
    """LoRA."""

    learning_rate = 5e-4
    needs_base = True
    options: Params

    def apply(self, backbone: Backbone) -> None:
        import peft
        from transformers.pytorch_utils import Conv1D

        from tunesmith.networks import low_rank

        self._check_targets(backbone)
        targets: Any = list(self.options.targets)
        config = peft.LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules="all-linear" if targets == ["all-linear"] else targets,
            # GPT-2's layers keep their weights the other way round.
            fan_in_fan_out=any(isinstance(module, Conv1D) for module in backbone.model.modules()),
        )
        # PEFT puts its layers into the module itself; the wrapper is only needed again to save them.
        with quiet.transformers():
            self._wrapped = peft.get_peft_model(backbone.model, config)
        low_rank.hasten(backbone.model)

    def _check_targets(self, backbone: Backbone) -> None:
        """PEFT goes on without a name that no layer has, as long as another one is found."""
        known = sorted({name.rpartition(".")[2] for name in _linear(backbone)})
        wanted = [name for name in self.options.targets if self.options.targets != ("all-linear",)]
        problems = [
            Problem(f"no linear layer is named '{name}'", "adapter.targets", did_you_mean(name, known))
            for name in wanted
            if not any(f".{layer}".endswith(f".{name}") for layer in _linear(backbone))
        ]
        if problems:
            raise UsageError("the base model lacks layers that are to be updated", problems=problems)

    def save(self, backbone: Backbone, folder: Path) -> None:
        self._wrapped.save_pretrained(str(folder), safe_serialization=True)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        import peft

        with quiet.transformers():
            self._wrapped = peft.PeftModel.from_pretrained(backbone.model, str(folder))


def _linear(backbone: Backbone) -> list[str]:
    """Names of the linear layers."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in backbone.model.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
