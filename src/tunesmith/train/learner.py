"""Everything that learns, built from a config: base model, adapter, head, encoded rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith import config as configs
from tunesmith import machine, plugins
from tunesmith.adapters.base import Adapter
from tunesmith.config import Config
from tunesmith.data import check
from tunesmith.data.examples import Examples
from tunesmith.data.finding import Finding
from tunesmith.data.prepare import Splits
from tunesmith.engines.pytorch import Engine
from tunesmith.heads import RowLoss
from tunesmith.heads.divergences import Divergence
from tunesmith.machine import Machine
from tunesmith.networks import pretrained
from tunesmith.networks.backbones import Backbone
from tunesmith.networks.network import Network
from tunesmith.sources import scratch
from tunesmith.tasks.base import Reader, Scored, Target, Task
from tunesmith.text import encode as text
from tunesmith.train import warm
from tunesmith.train.journal import Journal

Encode = Callable[[Config, Task, Any, Splits, Path], tuple[Examples, Examples]]
"""Makes the encoded training and validation rows."""

_REFERENCE_WIDTH = 384
_MANY_TOKENS = 1_000_000
_HEAD_RATE = 10.0
_LARGEST_HEAD_RATE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network with what judges and saves it: its task, its config completely filled, its validation rows."""

    config: Config
    task: Task
    target: Target
    adapter: Adapter
    network: Network
    tokenizer: Any
    validation: Examples
    splits: Splits
    machine: Machine
    findings: tuple[Finding, ...] = ()

    @property
    def metric(self) -> str:
        """The validation metric that chooses the best weights."""
        assert self.config.train.metric is not None
        return self.config.train.metric

    @property
    def engine(self) -> Engine:
        """The engine that serves, on the network as it is now."""
        return Engine(self.network, self.machine)

    @property
    def request(self) -> Any:
        """Request parameters as the config has them."""
        return plugins.module("tasks", self.config.task_name).Request(**dict(self.config.request))

    def reader(self, target: Target) -> Reader:
        """The network as it is now, as a model that reads rows."""
        return Reader(self.engine, self.tokenizer, self.config.model, target)

    def validate(self) -> list[np.ndarray]:
        """What the network gives for the validation rows now.

        Raises:
            FloatingPointError: outputs are not finite numbers.
        """
        return self.engine.sequences(self.validation)

    def scored(self, outputs: Sequence[np.ndarray], target: Target) -> Scored:
        """What ``validate`` gave, by the path that answers requests, as a target has it decided."""
        scores = self.task.scores(outputs, self.validation, target, self.request)
        return Scored(self.splits.tables["validation"], self.validation, scores, self.task.inputs)

    def scores(self) -> dict[str, float]:
        """Scores of the validation rows."""
        rows, outputs = self.splits.tables["validation"], self.engine.sequences(self.validation)
        return self.task.validation_scores(outputs, rows, self.validation, self.target, self.request)


@dataclass(frozen=True, kw_only=True)
class Learner(Candidate):
    """A network about to be trained, with its training rows."""

    training: Examples
    loss: RowLoss
    divergence: Divergence | None

    @property
    def starts_head(self) -> bool:
        """Whether the head is fitted on frozen features before the steps."""
        return self.config.train.warm_start and getattr(self.network.head, "linear", None) is not None

    def visits(self, epoch: int) -> np.ndarray:
        """Numbers of the training sequences that an epoch visits; the task may draw some rows more often."""
        rows = self.task.resample(self.training, self.target, self.config.train.seed * 1_000_003 + epoch)
        if len(self.training) == self.training.row_count:
            return rows
        times = np.bincount(rows, minlength=self.training.row_count)
        return np.repeat(np.arange(len(self.training)), times[self.training.rows])


def encode(config: Config, task: Task, tokenizer: Any, splits: Splits, folder: Path) -> tuple[Examples, Examples]:
    """The training and the validation rows as tokens, kept in files in ``folder``."""
    assert splits.target is not None
    training, validation = (
        task.encode(splits.tables[name], tokenizer, config.model, folder / name, splits.target)
        for name in ("train", "validation")
    )
    return training, validation


def filled(config: Config, splits: Splits, folder: Path, encode: Encode = encode) -> Config:
    """The config with everything that a run of it would choose, but for what is measured. Arguments as for ``build``."""
    config, task, backbone, tokenizer, _ = _open(config, splits, folder)
    training, _ = encode(config, task, tokenizer, splits, folder)
    if config.model.hidden_dropout is None:
        config = configs.fill(config, model={"hidden_dropout": pretrained.hidden_dropout(backbone.model.config)})
    return _with_epochs(config, training)


def build(
    config: Config,
    splits: Splits,
    folder: Path,
    journal: Journal,
    *,
    started: bool = False,
    encode: Encode = encode,
) -> Learner:
    """Load the base model, choose what the config leaves open, encode the rows and start the head.

    Args:
        config: of the run.
        splits: its rows.
        journal: told what takes long.
        folder: for encoded rows and kept states.
        started: the run is resumed, and its weights come from a checkpoint.
        encode: gives the encoded rows; runs on the same rows may share them.
    """
    return _prepared(assemble(config, splits, folder, journal, encode), folder, journal, started)


def assemble(config: Config, splits: Splits, folder: Path, journal: Journal, encode: Encode = encode) -> Learner:
    """The first half of ``build``: all but what is computed with the base model, and ``train.micro_tokens``."""
    assert splits.target is not None
    asked: Task = plugins.load("tasks", config.task_name)(config.task)
    divergence = asked.divergence(splits.target) if config.train.r_drop else None
    config, task, backbone, tokenizer, runs_on = _open(config, splits, folder)
    adapter: Adapter = plugins.load("adapters", config.adapter_name)(config.adapter)
    network = _network(config, task, splits.target, backbone, adapter, journal)
    loss = task.loss(splits.target, label_smoothing=config.train.label_smoothing)
    training, validation = encode(config, task, tokenizer, splits, folder)
    found = [
        finding
        for name, split, examples in (("training", "train", training), ("validation", "validation", validation))
        for findings in (check.token_findings, task.token_findings)
        for finding in findings(name, splits.tables[split], examples.encoded[0])
    ]
    for finding in found:
        journal.note(f"{finding.severity}: {finding.message}")
    config = _with_epochs(config, training)
    return Learner(
        config=config,
        task=task,
        target=splits.target,
        adapter=adapter,
        network=network,
        tokenizer=tokenizer,
        training=training,
        validation=validation,
        splits=splits,
        machine=runs_on,
        loss=loss,
        divergence=divergence,
        findings=(*splits.findings, *found),
    )


def _prepared(learned: Learner, folder: Path, journal: Journal, started: bool) -> Learner:
    """The second half of ``build``: what the frozen base model gives is kept, the head started, the machine measured."""
    network, training, train = learned.network, learned.training, learned.config.train
    if network.depth:
        journal.note(f"reading the rows through {network.depth} frozen layers, once")
        for name, examples in (("train", training), ("validation", learned.validation)):
            warm.keep_states(network, examples, folder / name / "hidden.bin", learned.machine)
    if learned.starts_head and not started:
        journal.note(f"fitting the head on the features of {min(len(training), train.warm_start_rows)} rows")
        warm.start_head(network, training, learned.loss, train.warm_start_rows, train.seed, learned.machine)
    if train.micro_tokens is not None:
        return learned
    tokens = warm.measure_micro_tokens(network, training, learned.loss, train.batch_size, learned.machine)
    return replace(learned, config=configs.fill(learned.config, train={"micro_tokens": tokens}))


def _open(config: Config, splits: Splits, folder: Path) -> tuple[Config, Task, Any, Any, Machine]:
    """The config filled in by what the base model is, the task, the base model, its tokenizer, and this machine."""
    runs_on = machine.prepare(config.train.precision, config.train.threads)
    base = config.model.base or plugins.load("tasks", config.task_name).default_base
    task: Task = plugins.load("tasks", config.task_name)(config.task)
    path = task.base_folder(base, splits.tables["train"], folder / "base")
    backbone = task.load_base(
        path, hidden_dropout=config.model.hidden_dropout, attention_dropout=config.model.attention_dropout
    )
    tokenizer = task.load_tokenizer(path, path)
    config = choose(config, base, backbone, splits, runs_on)
    return config, plugins.load("tasks", config.task_name)(config.task), backbone, tokenizer, runs_on


def _with_epochs(config: Config, training: Examples) -> Config:
    if config.train.epochs is not None:
        return config
    return configs.fill(config, train={"epochs": 1 if training.lengths.sum() > _MANY_TOKENS else 2})


def choose(config: Config, base: str, backbone: Backbone, splits: Splits, runs_on: Machine) -> Config:
    """Fill in what the user left open, so that the saved config says what was done."""
    adapter: Adapter = plugins.load("adapters", config.adapter_name)(config.adapter)
    rate = config.train.learning_rate or adapter.learning_rate * min(1.0, _REFERENCE_WIDTH / backbone.width)
    fresh_head_rate = max(rate, min(_LARGEST_HEAD_RATE, _HEAD_RATE * rate))
    assert splits.target is not None
    task = plugins.load("tasks", config.task_name)(config.task)
    fitted = config.train.warm_start and task.fits_head(splits.target)
    head_rate = config.train.head_learning_rate or (rate if fitted else fresh_head_rate)
    pooling = backbone.pooling if config.model.pooling == "auto" else config.model.pooling
    return configs.fill(
        config,
        columns=splits.columns,
        task=task.choose(
            splits.target, paired="text_pair" in splits.columns, sentence_encoder=backbone.is_sentence_encoder
        ),
        model={
            "base": base,
            "max_length": text.choose_max_length(
                None if backbone.max_length is None else backbone.max_length - adapter.taken_tokens,
                config.model.max_length,
            ),
            "long_text": config.model.long_text or task.long_text,
            "pooling": pooling,
        },
        train={
            "learning_rate": rate,
            "head_learning_rate": head_rate,
            "precision": runs_on.precision,
            "threads": runs_on.threads,
            "metric": config.train.metric or task.metric(splits.target),
            "freeze_embeddings": _frozen_embeddings(config, base),
        },
    )


def _frozen_embeddings(config: Config, base: str) -> bool:
    """Embeddings that nothing was learned in must not stay as they are."""
    if config.train.freeze_embeddings is not None:
        return config.train.freeze_embeddings
    return not scratch.is_scratch(base)


def _network(
    config: Config, task: Task, target: Target, backbone: Backbone, adapter: Adapter, journal: Journal
) -> Network:
    import torch

    torch.manual_seed(config.train.seed)
    adapter.apply(backbone)
    if config.train.freeze_embeddings:
        backbone.embeddings.requires_grad_(False)
    journal.note(f"training {backbone.weight_counts} of the base model")
    if config.train.gradient_checkpointing:
        backbone.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if config.train.compile:
        backbone.model.compile(dynamic=True)
    depth = adapter.frozen_depth(backbone)
    if depth and depth < backbone.depth and not backbone.can_split:
        depth = 0
        journal.note("the states of the frozen layers cannot be kept for this kind of model, so they are computed anew")
    torch.manual_seed(config.train.seed)
    return task.network(backbone, target, config.model, depth=depth, label_smoothing=config.train.label_smoothing)
