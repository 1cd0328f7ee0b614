"""What an adapter is: which weights of the base model train, and how they are saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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

    def save(self, backbone: Backbone, folder: Path) -> None:
        """Write the weights in the layout of the library that loads them (transformers, PEFT)."""
        backbone.model.save_pretrained(str(folder))

    def restore(self, backbone: Backbone, folder: Path) -> None:
        """Put saved adapter weights on a freshly loaded base model; only where ``needs_base``."""
        raise NotImplementedError(f"{type(self).__module__} saves whole models")
