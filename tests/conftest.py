"""What all tests share: tiny base models, small labelled files, and short runs on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import small
import tiny_generators
from tiny import Family, write_tiny

if TYPE_CHECKING:
    from tunesmith.config import Config
    from tunesmith.train.job import Job
    from tunesmith.train.run import Run

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models gain nothing from threads, and tests run side by side


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    """Gives the folder of a tiny random base model of a family, which knows the words of ``small``."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def of(family: Family) -> Path:
        if family not in made:
            made[family] = write_tiny(root / family, family, small.TEXTS)
        return made[family]

    return of


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tiny_generators.Kind], Path]:
    """Gives the folder of a tiny random base model that writes, and knows the words of ``small``."""
    root, made = tmp_path_factory.mktemp("writers"), {}

    def of(family: tiny_generators.Kind) -> Path:
        if family not in made:
            made[family] = tiny_generators.write(root / family, family, small.TEXTS)
        return made[family]

    return of


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a file of a kind of rows (see ``small.rows``)."""
    root = tmp_path_factory.mktemp("tables")

    def of(kind: str = "binary", count: int = 160, seed: int = 0) -> Path:
        file = root / f"{kind}-{count}-{seed}.{small.suffix(kind)}"
        return file if file.exists() else small.write(file, kind, count, seed)

    return of


@pytest.fixture(scope="session")
def parameters(
    model: Callable[[Family], Path], writer: Callable[[tiny_generators.Kind], Path], table: Callable[..., Path]
) -> Callable[..., dict[str, Any]]:
    """Gives the config parameters, by dotted name, of a short run on a small file; without a family, one that fits."""

    def of(kind: str = "binary", family: Any = None, count: int = 160, **more: Any) -> dict[str, Any]:
        writes = kind in small.WRITTEN
        made = writer if writes or family in tiny_generators.ONLY_HERE else model
        base = made(family or ("llama" if writes else "bert"))
        own = {"data.train": str(table(kind, count)), "model.base": str(base), **small.options(kind)}
        return {**small.QUICK, **own, **more}

    return of


@pytest.fixture
def config(parameters: Callable[..., dict[str, Any]]) -> Callable[..., Config]:
    """Gives the config of a short run on a small file."""
    from tunesmith import config as configs

    return lambda *args, **more: configs.resolve(keywords=parameters(*args, **more), environment={})


@pytest.fixture
def run(config: Callable[..., Config], tmp_path: Path) -> Callable[..., Run]:
    """Trains, evaluates and saves a tiny model on a small file."""
    from tunesmith.train import run as runs

    def train(*args: Any, out: str = "run", **more: Any) -> Run:
        return runs.train(config(*args, out=str(tmp_path / out), **more), quiet=True)

    return train


@pytest.fixture
def job(config: Callable[..., Config], tmp_path: Path) -> Callable[..., Job]:
    """Gives a training loop's job, ready to fit: a run without its bundle and report."""
    import time

    from tunesmith import plugins
    from tunesmith.data.prepare import prepare
    from tunesmith.train import budget, journal, learner, loop, track
    from tunesmith.train.job import Job

    def of(*args: Any, out: str = "job", **more: Any) -> Job:
        folder = tmp_path / out
        folder.mkdir(exist_ok=True)
        chosen = config(*args, **more)
        log = journal.Journal(folder / "log.jsonl", quiet=True)
        splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), folder / "data")
        started = loop.has_started(folder)
        learned = learner.build(chosen, splits, folder / "rows", log, started=started)
        return Job(
            network=learned.network,
            examples=learned.training,
            loss=learned.loss,
            divergence=learned.divergence,
            evaluate=learned.scores,
            metric=learned.metric,
            train=learned.config.train,
            folder=folder,
            journal=log,
            accelerator=track.start(learned.config, folder),
            visits=learned.visits,
            budget=budget.Budget(learned.config.train.max_time, time.monotonic(), 1.0),
            adapter=learned.adapter,
        )

    return of
