"""What an engine is: something that computes a bundle's outputs from batches of token ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle


class Engine(ABC):
    """Computes outputs; knows nothing of tasks, labels or requests."""

    batch_tokens: int = 16384
    """Padded tokens that one call should hold."""

    @classmethod
    @abstractmethod
    def open(cls, bundle: Bundle) -> Engine:
        """Load a bundle's weights."""

    @abstractmethod
    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Inputs as the batcher makes them, to raw outputs (B, O) in float32."""
