"""What the adapters have in common whose layers PEFT computes: they are put in, saved, put back and merged by it.

PEFT puts its layers into the base model's own module. The wrapper around it is only needed again to save and to merge.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith import params, quiet
from tunesmith.adapters import base
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import Choices, Range, param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone

ALL_LINEAR = "all-linear"


class Targets(params.Params):
    """Where the layers go."""

    targets: tuple[str, ...] = param(
        (ALL_LINEAR,), "Names of the linear layers that are adapted; all-linear: every one."
    )


class LowRank(Targets):
    """Size and place of low-rank updates."""

    rank: int = param(16, "Rank of each update.", ge=1, search=Choices((4, 8, 16, 32, 64)))
    alpha: float = param(32, "Scale of the updates: they are multiplied by alpha / rank.", gt=0)
    dropout: float = param(0.0, "Dropout before each update.", ge=0, lt=1, search=Range(0, 0.2))
    rslora: bool = param(
        False, "Multiply by alpha / sqrt(rank) instead, which suits large ranks (rsLoRA, Kalajdzievski 2023)."
    )
    lora_plus: float = param(
        1.0,
        "Learning rate of the B matrices as a multiple of that of the A matrices (LoRA+, Hayou et al. 2024).",
        gt=0,
        le=1000,
        search=Choices((1.0, 4.0, 16.0)),
    )


class PeftAdapter(base.Adapter):
    """An adapter that is a PEFT config."""

    needs_base = True
    turns_layers: ClassVar[bool] = False
    """Whether layers that keep their weights the other way round (GPT-2's) are turned first, since PEFT knows no others."""

    @abstractmethod
    def config(self, backbone: Backbone) -> Any:
        """The PEFT config for a base model.

        Raises:
            UsageError: the method has no place in this kind of model.
        """

    def apply(self, backbone: Backbone) -> None:
        import peft

        from tunesmith.networks import low_rank

        self._turn(backbone)
        config = self.config(backbone)
        with quiet.transformers():
            self._wrapped: Any = peft.get_peft_model(backbone.model, config)
        low_rank.hasten(backbone.model)

    def restore(self, backbone: Backbone, folder: Path) -> None:
        import peft

        self._turn(backbone)
        with quiet.transformers():
            self._wrapped = peft.PeftModel.from_pretrained(backbone.model, str(folder))

    def _turn(self, backbone: Backbone) -> None:
        from tunesmith.networks import orientation

        self._turned = orientation.turned(backbone.model) if self.turns_layers else []

    def save(self, backbone: Backbone, folder: Path) -> None:
        self._wrapped.save_pretrained(str(folder), safe_serialization=True)

    def merge(self, backbone: Backbone) -> None:
        from tunesmith.networks import orientation

        with quiet.transformers():
            try:
                backbone.model = self._wrapped.merge_and_unload(safe_merge=True)
            except (ValueError, NotImplementedError, AttributeError, TypeError) as error:
                raise UsageError(f"this adapter cannot be merged: {quiet.first_line(error)}") from None
        orientation.turn_back(backbone.model, self._turned)


class LowRankAdapter(PeftAdapter):
    """LoRA and its kin."""

    options: LowRank

    def config(self, backbone: Backbone) -> Any:
        import peft

        return peft.LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=self.options.dropout,
            target_modules=targets(backbone, self.options.targets),
            fan_in_fan_out=is_turned(backbone),
            use_rslora=self.options.rslora,
        )

    def rate_factor(self, name: str) -> float:
        return self.options.lora_plus if ".lora_B." in name else 1.0


def targets(backbone: Backbone, names: Sequence[str], parameter: str = "targets") -> Any:
    """What PEFT takes for ``target_modules``.

    Raises:
        UsageError: no linear layer has a name. PEFT would go on without it, as long as another one is found.
    """
    if tuple(names) == (ALL_LINEAR,):
        return ALL_LINEAR
    layers = _linear(backbone)
    known = sorted({layer.rpartition(".")[2] for layer in layers})
    problems = [
        Problem(f"no linear layer is named '{name}'", f"adapter.{parameter}", did_you_mean(name, known))
        for name in names
        if not any(f".{layer}".endswith(f".{name}") for layer in layers)
    ]
    if problems:
        raise UsageError("the base model lacks layers that are to be updated", problems=problems)
    return list(names)


def is_turned(backbone: Backbone) -> bool:
    """Whether the layers keep their weights the other way round (in, out), as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in backbone.model.modules())


def _linear(backbone: Backbone) -> list[str]:
    """Names of the linear layers."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return [name for name, module in backbone.model.named_modules() if isinstance(module, (nn.Linear, Conv1D))]
