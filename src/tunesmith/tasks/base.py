"""What a task is: its columns, its target, its head and loss, its answers and scores.

A task file holds declarations that load without torch (``Columns``, ``Params``, ``Request``) and a class ``Task``.
The spine calls it in this order:

    read_row    a user's row becomes a canonical one            while the data is read
    learn       the training rows tell what there is to predict  -> Target
    targets     rows become numbers to learn from
    head, loss  the network's last part, and how wrong it is     during training
    scores      raw outputs become probabilities or values       in every prediction
    predictions scores beside the truth                          for evaluation and the report
    answers     scores become what a caller sees                 under the request's parameters
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.data.check import Finding
    from tunesmith.heads import Head, RowLoss
    from tunesmith.metrics import Predictions


@dataclass(frozen=True)
class Target:
    """What the head predicts, learned from the training rows and saved in the bundle.

    Args:
        kind: form of the prediction (``multi-class``, ``multi-label``, ``regression``).
        labels: names of the outputs, in their order; a regression has one.
        counts: training rows of each label.
        thresholds: probability from which each label of a multi-label answer holds; empty: not tuned.
        scale: mean and standard deviation that a regression's outputs are scaled back with.
    """

    kind: str
    labels: tuple[str, ...]
    counts: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the bundle."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Target:
        """From what ``to_json`` wrote."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)


class RowError(Exception):
    """A row cannot be used: ``column`` names the canonical column at fault."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


class Task(ABC):
    """A kind of thing to learn. ``options`` are the ``Params`` that its file declares beside it."""

    default_base: ClassVar[str] = "all-MiniLM-L6-v2"

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Arrow types of a canonical row."""

    @abstractmethod
    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        """Turn a row whose keys are already canonical into a canonical row.

        Raises:
            RowError: a value is missing or of the wrong kind.
        """

    @abstractmethod
    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Turn what a caller wants answered into a canonical row without its label.

        Raises:
            RowError: a value is missing, unknown or of the wrong kind.
        """

    @abstractmethod
    def learn(self, rows: pa.Table) -> Target:
        """Find out from the training rows what there is to predict."""

    @abstractmethod
    def targets(self, rows: pa.Table, target: Target) -> np.ndarray:
        """What the network learns from, one entry a row."""

    @abstractmethod
    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        """Labels of each row that a split keeps in proportion."""

    @abstractmethod
    def metric(self, target: Target) -> str:
        """The validation metric that chooses the best weights."""

    @abstractmethod
    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        """A fresh head over token vectors of this width."""

    @abstractmethod
    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        """A function of (outputs, targets) that returns one loss a row."""

    @abstractmethod
    def scores(self, outputs: np.ndarray, target: Target) -> np.ndarray:
        """Raw outputs as probabilities or values, same rows."""

    @abstractmethod
    def predictions(self, scores: np.ndarray, targets: np.ndarray, target: Target, **context: Any) -> Predictions:
        """Scores beside the truth; ``context`` holds texts, lengths and lines for the report."""

    @abstractmethod
    def answers(self, scores: np.ndarray, target: Target, request: Any) -> list[dict[str, Any]]:
        """What a caller sees for each row, under the request's parameters."""

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        """Values for the options that were left to the data and the base model."""
        return {}

    def tune(self, predictions: Predictions, target: Target) -> Target:
        """Choose what is decided after training, such as thresholds, on the validation rows."""
        return target

    def resample(self, targets: np.ndarray, target: Target, seed: int) -> np.ndarray:
        """Row numbers that an epoch visits; each once unless the task draws rare labels more often."""
        import numpy as np

        return np.arange(len(targets))

    def findings(self, rows: pa.Table, target: Target) -> Iterable[Finding]:
        """Checks that only this task can make."""
        return ()
