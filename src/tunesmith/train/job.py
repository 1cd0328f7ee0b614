"""What a training loop works on, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from tunesmith.adapters.base import Adapter
from tunesmith.config import Train
from tunesmith.data.examples import Examples
from tunesmith.heads import RowLoss
from tunesmith.heads.divergences import Divergence
from tunesmith.networks.network import Network
from tunesmith.train.budget import Budget
from tunesmith.train.journal import Journal

Watch = Callable[[float, Mapping[str, float] | None], None]


def ignore(share: float, scores: Mapping[str, float] | None) -> None:
    """Watches nothing."""


@dataclass(frozen=True)
class Job:
    """Everything a training run works on.

    Args:
        examples: training rows, encoded, with targets.
        loss: loss a row.
        divergence: of two outputs of a row; None: nothing asks for it.
        evaluate: scores of the network on the validation rows, by metric name.
        metric: which of these scores chooses the best weights.
        visits: numbers of the sequences that an epoch visits.
        folder: where checkpoints and best weights go.
        budget: when training must stop.
        adapter: which weights of the base model train.
        watch: told after each step and each evaluation which share of the steps is done, and the scores if the weights
            were just evaluated; it may end the run by raising.
    """

    network: Network
    examples: Examples
    loss: RowLoss
    divergence: Divergence | None
    evaluate: Callable[[], dict[str, float]]
    metric: str
    train: Train
    folder: Path
    journal: Journal
    accelerator: Accelerator
    visits: Callable[[int], np.ndarray]
    budget: Budget
    adapter: Adapter
    watch: Watch = ignore


@dataclass
class Course:
    """Where the run stands; saved in every checkpoint."""

    step: int = 0
    best_step: int = -1
    best_score: float | None = None
    stale: int = 0
    rollbacks: int = 0
    rate: float = 1.0
    seconds: float = 0.0
    tokens: int = 0
    kept: dict[int, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
