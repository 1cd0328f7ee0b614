"""One trial: a training run without its bundle, on rows that were read and tokenised once for all trials of a process."""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith import bundle, plugins
from tunesmith import config as configs
from tunesmith.config import Config
from tunesmith.data.examples import Examples
from tunesmith.data.prepare import Splits, prepare
from tunesmith.tasks.base import Task
from tunesmith.train import learner, run, track
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

_CHANGES_NO_TOKEN = {"dropout", "hidden_dropout", "attention_dropout", "pooling"}

Report = Callable[[float, Mapping[str, float] | None], None]


@dataclass(frozen=True)
class Outcome:
    """What a trial gave.

    Args:
        scores: of the best weights on the validation rows, by metric.
        best_step: the step after which they were the best.
        steps: steps done.
        seconds: wall time of the whole trial.
        latency: milliseconds a text, while validating.
        size: megabytes of the network's weights.
    """

    scores: Mapping[str, float]
    best_step: int
    steps: int
    seconds: float
    latency: float
    size: float


@dataclass
class Bench:
    """Where a process runs trials; it keeps rows and tokens for the next one that needs the same.

    Args:
        folder: for rows and tokens.
        prepared: how often rows were read; ``encoded`` how often they were tokenised.
    """

    folder: Path
    prepared: int = 0
    encoded: int = 0
    _splits: dict[str, Splits] = field(default_factory=dict)
    _examples: dict[str, tuple[Examples, Examples]] = field(default_factory=dict)

    def run(self, config: Config, folder: Path, watch: Report) -> Outcome:
        """Train as a config says.

        Args:
            config: of the trial.
            folder: keeps its config and its log; weights and checkpoints go when it is done.
            watch: follows it; see ``job.Job``.

        Raises:
            TunesmithError: as training does; whatever ``watch`` raises.
        """
        began = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        bundle.write_text(folder / "config.yaml", configs.to_yaml(config))
        try:
            return self._run(config, folder, watch, began)
        finally:
            shutil.rmtree(folder / run.WORK, ignore_errors=True)
            gc.collect()

    def filled(self, config: Config) -> Config:
        """The config with what a run of it would choose."""
        return learner.filled(config, self.splits(config), self.folder / "filled", self._encode)

    def splits(self, config: Config) -> Splits:
        """The rows of a config.

        Raises:
            DataError: they cannot be used.
        """
        key = _key(config.data, config.columns, config.task)
        if key not in self._splits:
            self.prepared += 1
            task = plugins.load("tasks", config.task_name)(config.task)
            found = prepare(config, task, self.folder / f"rows-{key}")
            found.stop_on_errors()
            self._splits[key] = found
        return self._splits[key]

    def _run(self, config: Config, folder: Path, watch: Report, began: float) -> Outcome:
        accelerator = track.start(config, folder)
        journal = Journal(folder / "log.jsonl", quiet=True)
        learned = learner.build(config, self.splits(config), folder / run.WORK, journal, encode=self._encode)
        bundle.write_text(folder / "config.yaml", configs.to_yaml(learned.config))
        course = run.learn(learned, folder, journal, accelerator, began, watch=watch)
        return Outcome(
            scores=course.scores,
            best_step=course.best_step,
            steps=course.step,
            seconds=time.monotonic() - began,
            latency=_latency(learned),
            size=sum(weight.numel() * weight.element_size() for weight in learned.network.parameters()) / 1e6,
        )

    def _encode(
        self, config: Config, task: Task, tokenizer: Any, splits: Splits, folder: Path
    ) -> tuple[Examples, Examples]:
        """Tokens of the rows; those of an earlier trial if they are the same. What a trial keeps beside them is its own."""
        reading = {name: value for name, value in dict(config.model).items() if name not in _CHANGES_NO_TOKEN}
        key = _key(config.data, config.columns, config.task, reading)
        if key not in self._examples:
            self.encoded += 1
            self._examples[key] = learner.encode(config, task, tokenizer, splits, self.folder / f"tokens-{key}")
        training, validation = self._examples[key]
        return copy.copy(training), copy.copy(validation)


def _latency(learned: Learner) -> float:
    began = time.monotonic()
    learned.scores()
    return 1000 * (time.monotonic() - began) / len(learned.splits.tables["validation"])


def _key(*parts: Any) -> str:
    plain = [part if isinstance(part, dict) else part.model_dump(mode="json", by_alias=True) for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
