"""Tunesmith: a labelled text file becomes a fine-tuned, evaluated, served language model.

    import tunesmith as ts
    run = ts.train("reviews.csv", task="text-classification")
    print(run.report)
    print(ts.evaluate(run.folder, "more.csv"))
    ts.load(run.folder).answers(["fine film"], threshold=0.6)

Nothing heavy is imported until it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import tunesmith.search
import tunesmith.train  # noqa: F401 - loaded later, the packages would take the place of the functions below
from tunesmith.errors import (
    BundleError,
    ContextError,
    DataError,
    Interrupted,
    SourceError,
    TrainingError,
    TunesmithError,
    UsageError,
)

if TYPE_CHECKING:
    from tunesmith.evaluation import Evaluation
    from tunesmith.predict import Model
    from tunesmith.search.run import Search
    from tunesmith.train.run import Run

__all__ = [
    "BundleError",
    "ContextError",
    "DataError",
    "Interrupted",
    "SourceError",
    "TrainingError",
    "TunesmithError",
    "UsageError",
    "evaluate",
    "load",
    "resume",
    "search",
    "train",
]


def train(source: str | Path | None = None, **parameters: Any) -> Run:
    """Fine-tune a model.

    Args:
        source: labelled data, or a YAML config.
        parameters: config parameters: ``task="text-classification"``, ``train={"epochs": 2}`` or ``**{"train.epochs": 2}``;
            ``quiet=True`` shows no progress.

    Returns:
        The finished run: ``run.folder`` is the bundle, ``run.report`` its report.
    """
    from tunesmith import config
    from tunesmith.train import run

    quiet = bool(parameters.pop("quiet", False))
    return run.train(config.from_call(source, keywords=parameters), quiet=quiet)


def resume(folder: str | Path, *, quiet: bool = False) -> Run:
    """Go on with a run that was stopped or killed; it ends as if it had never been."""
    from tunesmith.train import run

    return run.resume(Path(folder), quiet=quiet)


def search(source: str | Path | None = None, **parameters: Any) -> Search:
    """Search for better training parameters, and say whether those found beat the defaults beyond seed noise.

    Args:
        source: labelled data, a YAML config, or with ``resume=True`` the folder of a study.
        parameters: settings of the search (``trials=20, budget="30m", workers=2``), and config parameters as for ``train``, of
            which any may be a range: ``train={"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "batch_size": [16, 32]}``;
            ``quiet=True`` shows no progress.

    Returns:
        The finished search: ``.found.words`` is the verdict, ``.found.verdict`` its numbers, ``.best`` the winner's config.
    """
    from tunesmith import params
    from tunesmith.search import run
    from tunesmith.search.settings import Settings

    quiet = bool(parameters.pop("quiet", False))
    own = {name: parameters.pop(name) for name in Settings.model_fields if name in parameters}
    settings = params.check(Settings, own, {name: f"argument {name}" for name in own})
    return run.search(source, settings, keywords=parameters, quiet=quiet)


def load(folder: str | Path, engine: str = "pytorch") -> Model:
    """Open a bundle to answer with."""
    from tunesmith import predict

    return predict.load(folder, engine)


def evaluate(bundle: str | Path, data: str | Path, engine: str = "pytorch", *, untuned: bool = False) -> Evaluation:
    """Score a bundle on labelled data: ``.metrics`` by name, ``.intervals`` of the chief ones; printed, the whole table.

    ``untuned=True`` scores the base model as it was before training, where it could answer already.
    """
    from tunesmith import evaluation

    return evaluation.evaluate_data(bundle, str(data), engine, untuned=untuned)
