"""What an engine is: something that computes a bundle's outputs from batches of token ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.data.examples import Examples


class Engine(ABC):
    """Computes outputs; knows nothing of tasks, labels or requests."""

    place: ClassVar[str] = ""
    """Folder in a bundle that holds the model in the form that it opens; empty: it opens the bundle's own weights."""

    batch_tokens: int = 16384
    """Padded tokens that one call should hold."""

    @classmethod
    @abstractmethod
    def finds(cls, folder: Path) -> bool:
        """Whether a bundle's folder holds a model in the form that it opens."""

    @classmethod
    @abstractmethod
    def open(cls, bundle: Bundle) -> Engine:
        """Load a bundle's weights."""

    @abstractmethod
    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """Inputs as the batcher makes them, to raw outputs in float32: (B, O), or (B, T, ...) of every token."""

    def sequences(self, examples: Examples, among: np.ndarray | None = None) -> list[np.ndarray]:
        """Raw outputs of each sequence, (O,) or (its tokens, ...), computed in batches of near-equal length.

        Args:
            examples: the sequences.
            among: numbers of those that are wanted, whose outputs come in this order; None: all.

        Raises:
            FloatingPointError: outputs are not finite numbers.
        """
        import numpy as np

        from tunesmith.data import batch

        wanted = np.arange(len(examples)) if among is None else among
        lengths = examples.lengths[wanted]
        found: list[Any] = [None] * len(wanted)
        for places in batch.SortedBatches.of(lengths, micro_tokens=self.batch_tokens).batches:
            outputs = self.outputs(examples.collate(wanted[places]))
            if not np.isfinite(outputs).all():
                raise FloatingPointError("outputs of the network were not finite")
            for place, output in zip(places.tolist(), outputs, strict=True):
                found[place] = output if output.ndim == 1 else output[: lengths[place]].copy()
        return found
