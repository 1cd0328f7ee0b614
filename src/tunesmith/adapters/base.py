"""What an adapter is: which weights of the base model train, and how they are saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.networks.backbones import Backbone


class Adapter(ABC):
    """A choice of trainable weights. ``options`` are the ``Params`` that its file declares beside it."""

    learning_rate: ClassVar[float] = 1e-4
    """Peak learning rate that suits it, when the user sets none."""

    needs_base: ClassVar[bool] = False
    """Whether a saved bundle holds the adapter alone and refers to its base model."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def apply(self, backbone: Backbone) -> None:
        """Change the base model in place: freeze weights, insert layers."""

    def frozen_depth(self, backbone: Backbone) -> int:
        """How many of the lowest blocks never change, so that their output may be kept; 0: none."""
        return 0

    @property
    def taken_tokens(self) -> int:
        """How many of the base model's positions it takes for itself, so that texts have fewer."""
        return 0

    def rate_factor(self, name: str) -> float:
        """What the learning rate of a weight of the base model is multiplied by; ``name`` is its name in the backbone."""
        return 1.0

    # while it trains: nothing, for most

    def plan(self, total_steps: int) -> None:
        """Hear, before the first step, how many there will be."""
        return

    def shape_gradients(self) -> None:
        """Add to a step's gradient what the method itself wants of its weights."""
        return

    def after_step(self, step: int) -> None:
        """Act on the weights after step ``step``, counted from 1; the step's gradient is still there."""
        return

    def state(self) -> dict[str, Any]:
        """What it remembers from step to step beside its weights, for checkpoints: nested dicts, numbers, text, tensors."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave."""
        return

    # afterwards

    def settle(self, backbone: Backbone) -> None:
        """Give trained weights the form in which they are saved: what is judged from here on is what will be opened."""
        return

    def save(self, backbone: Backbone, folder: Path) -> None:
        """Write the weights in the layout of the library that loads them (transformers, PEFT)."""
        backbone.model.save_pretrained(str(folder))

    def restore(self, backbone: Backbone, folder: Path) -> None:
        """Put saved adapter weights on a freshly loaded base model; only where ``needs_base``.

        The base model's weights may be shared with others: they are never written to.
        """
        raise NotImplementedError(f"{type(self).__module__} saves whole models")

    def merge(self, backbone: Backbone) -> None:
        """Turn the base model with this adapter into a plain one that gives the same answers; only where ``needs_base``.

        Raises:
            UsageError: what the adapter does is not a change of the base model's weights.
        """
        name = type(self).__module__.rpartition(".")[2].replace("_", "-")
        hint = "serve the bundle as it is: it answers with its base model"
        raise UsageError(
            f"a {name} adapter is no change of the base model's weights, so it cannot be merged", hint=hint
        )
