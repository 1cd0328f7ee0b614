"""Scores of a saved model on labelled rows, by the very code that answers requests."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunesmith import metrics, predict
from tunesmith.data.labelled import read_labelled
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

    def __str__(self) -> str:
        """The table that the field prints for such predictions, and the chief scores with their intervals."""
        lines = [metrics.classification_report(self.predictions)]
        for name, (low, high) in self.intervals.items():
            lines.append(f"{name}: {self.metrics[name]:.4f}  (95 % interval {low:.4f} to {high:.4f})")
        return "\n".join(lines)


def evaluate_data(bundle: str | Path, data: str, engine: str | None = None, *, untuned: bool = False) -> Evaluation:
    """Score a saved model on a labelled file, or on the test split of a folder; its golden answers are replayed first.

    Args:
        bundle: folder of the model.
        data: as ``data.test`` takes it.
        engine: what computes the answers.
        untuned: score the base model as it was before training, which must be one that writes.

    Raises:
        BundleError: the model is damaged, or no longer gives its golden answers.
        DataError: rows cannot be used; all are listed.
    """
    model = predict.load(bundle, engine, untuned=untuned)
    if not untuned:
        model.replay()
    with tempfile.TemporaryDirectory() as folder:
        return evaluate(model, read_labelled(data, model.bundle.config, model.target, Path(folder)))


def evaluate(model: Model, rows: pa.Table) -> Evaluation:
    """Score a model on canonical rows with labels."""
    predictions = model.predictions(rows)
    scores = metrics.score(predictions)
    names = [name for name in dict.fromkeys(predictions.chief) if name in scores]
    return Evaluation(model.bundle.config.task_name, predictions, scores, metrics.intervals(predictions, names))
