"""What an engine is: something that computes a bundle's outputs from batches of token ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.data.examples import Examples


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
        """Inputs as the batcher makes them, to raw outputs in float32: (B, O), or (B, T, ...) of every token."""

    def sequences(self, examples: Examples) -> list[np.ndarray]:
        """Raw outputs of each sequence, (O,) or (its tokens, ...), computed in batches of near-equal length.

        Raises:
            FloatingPointError: outputs are not finite numbers.
        """
        import numpy as np

        from tunesmith.data import batch

        found: list[Any] = [None] * len(examples)
        for indices in batch.SortedBatches.of(examples.lengths, micro_tokens=self.batch_tokens).batches:
            outputs = self.outputs(examples.collate(indices))
            if not np.isfinite(outputs).all():
                raise FloatingPointError("outputs of the network were not finite")
            for index, output in zip(indices.tolist(), outputs, strict=True):
                found[index] = output if output.ndim == 1 else output[: examples.lengths[index]].copy()
        return found
