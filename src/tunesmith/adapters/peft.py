"""Any method of PEFT that puts layers into the base model, by PEFT's own name and options (LoHa, LoKr, HRA, BOFT, FourierFT ...)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tunesmith import params, quiet
from tunesmith.adapting import by_peft
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Params(params.Params):
    """Which method, and how."""

    type: str = param(
        "LOHA", "PEFT's name of the method (a value of peft.PeftType), such as LOHA, LOKR, HRA or LN_TUNING."
    )
    options: dict[str, Any] = param(
        {},
        "Fields of the method's PEFT config, such as {r: 8}; target_modules is every linear layer where it is not given, or every norm for LN_TUNING.",
    )


class Adapter(by_peft.PeftAdapter):
    """A method of PEFT."""

    learning_rate = 1e-3
    turns_layers = True
    options: Params

    def config(self, backbone: Backbone) -> Any:
        kind, given = self._kind(), dict(self.options.options)
        fields = {field.name for field in dataclasses.fields(kind)}
        problems = [
            Problem(
                f"{self.options.type} has no option '{name}'", "adapter.options", did_you_mean(name, sorted(fields))
            )
            for name in given
            if name not in fields
        ]
        if problems:
            raise UsageError("PEFT does not know all of these options", problems=problems)
        if "target_modules" in fields:
            normed = self.options.type.upper() == "LN_TUNING"
            given.setdefault("target_modules", _norms(backbone) if normed else by_peft.ALL_LINEAR)
        try:
            return kind(**given)
        except (ValueError, TypeError) as error:
            why = quiet.first_line(error)
            raise UsageError(
                f"PEFT refuses these options of {self.options.type}: {why}", where="adapter.options"
            ) from None

    def apply(self, backbone: Backbone) -> None:
        try:
            super().apply(backbone)
        except (ValueError, TypeError, NotImplementedError, AttributeError, RuntimeError, AssertionError) as error:
            why = quiet.first_line(error)
            raise UsageError(
                f"PEFT cannot put {self.options.type} into this base model: {why}", where="adapter.type"
            ) from None

    def _kind(self) -> Any:
        """The config class.

        Raises:
            UsageError: there is no such method, or it is more than layers in a model.
        """
        from peft import PromptLearningConfig
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as KINDS

        layered = {
            kind.value: config
            for kind, config in KINDS.items()
            if not issubclass(config, PromptLearningConfig) and kind.value not in _NEED_MORE
        }
        name = self.options.type.upper()
        if name in layered:
            return layered[name]
        hint = _NEED_MORE.get(name) or did_you_mean(name, sorted(layered))
        if name in KINDS and name not in _NEED_MORE:
            hint = "take adapter.name prefix, prompt or p-tuning"
        raise UsageError(
            f"'{self.options.type}' is no method of PEFT that is only layers", where="adapter.type", hint=hint
        )


def _norms(backbone: Backbone) -> list[str]:
    """Names of the norms."""
    return [name for name, part in backbone.model.named_modules() if type(part).__name__.endswith("Norm")]


_NEED_MORE = {
    "IA3": "take adapter.name ia3, which knows the layers that are scaled",
    "SHADOW": "it runs a network of its own beside the base model",
    "ADALORA": "take adapter.name adalora, which cuts ranks while it trains",
    "XLORA": "it mixes adapters that are already trained",
    "POLY": "it needs the number of the task with every row",
    "ADAPTION_PROMPT": "take adapter.name prefix",
    "TRAINABLE_TOKENS": "it trains only the embeddings of the tokens that it is told",
}
