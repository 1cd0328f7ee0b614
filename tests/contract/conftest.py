"""Tiny models with an adapter, ready to train and trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapted import OPTIONS, Build, Trained, outputs, steps
from tunesmith import bundle as bundles
from tunesmith import config as configs
from tunesmith import exporting, plugins
from tunesmith.data.prepare import prepare
from tunesmith.train import learner
from tunesmith.train import run as runs
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner


@pytest.fixture(scope="session")
def build(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Gives a learner about to train, and notes of its making in ``log.jsonl``."""

    def of(
        adapter: str, family: str = "bert", kind: str = "binary", folder: Path | None = None, **more: Any
    ) -> Learner:
        own = {
            "adapter": adapter,
            "train.precision": "fp32",
            "train.warm_start": False,
            **OPTIONS.get(adapter, {}),
            **more,
        }
        chosen = configs.resolve(keywords=parameters(kind, family, 80, **own), environment={})
        folder = folder or tmp_path_factory.mktemp(adapter)
        splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), folder / "data")
        return learner.build(chosen, splits, folder, Journal(folder / "log.jsonl", quiet=True))

    return of


@pytest.fixture(scope="session")
def finished(
    parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Gives the folder of a short run on a kind of rows; each is trained once, and nothing may be changed in it."""

    @functools.cache
    def of(kind: str, family: str | None = None) -> Path:
        short = {"train.max_steps": 2, "train.precision": "fp32", "out": str(tmp_path_factory.mktemp(kind) / "run")}
        return runs.train(
            configs.resolve(keywords=parameters(kind, family, 80, **short), environment={}), quiet=True
        ).folder

    return of


@pytest.fixture(scope="session")
def in_form(finished: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives a bundle that an engine opens: that of a run, exported where the engine wants another form."""

    @functools.cache
    def of(engine: str, kind: str, family: str | None = None) -> Path:
        folder = finished(kind, family)
        if not plugins.load("engines", engine).place:
            return folder
        out = tmp_path_factory.mktemp(engine) / kind
        exporting.export(folder, engine, out)
        return out

    return of


@pytest.fixture(scope="session")
def trained(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Trained]:
    @functools.cache
    def of(adapter: str, family: str) -> Trained:
        learned = build(adapter, family)
        before = {name: weight.detach().clone() for name, weight in learned.network.backbone.named_parameters()}
        losses = steps(learned)
        folder = tmp_path_factory.mktemp("bundle")
        saved = bundles.write(
            folder, learned.network, learned.tokenizer, learned.config, learned.target, learned.adapter
        )
        return Trained(learned, losses, before, saved, outputs(learned.network, learned))

    return of
