"""Scores of a saved model on labelled rows, by the very code that answers requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tunesmith import metrics
from tunesmith.metrics import Counted, Predictions
from tunesmith.predict import Model


@dataclass(frozen=True)
class Evaluation:
    """What a model scored: ``metrics`` by flat name, ``intervals`` (95 %, bootstrap over rows) of the chief ones."""

    task: str
    predictions: Predictions | Counted
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {"task": self.task, "rows": len(self.predictions), "metrics": self.metrics, "intervals": self.intervals}


def evaluate(model: Model, rows: pa.Table) -> Evaluation:
    """Score a model on canonical rows with labels."""
    predictions = model.predictions(rows)
    scores = metrics.score(predictions)
    names = [name for name in dict.fromkeys(predictions.chief) if name in scores]
    return Evaluation(model.bundle.config.task_name, predictions, scores, metrics.intervals(predictions, names))
