"""Bundles that servers serve: trained once for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny_generators
from served import Served, running

WRITES = {
    "train.epochs": 1,
    "model.max_length": 128,
    "request.max_tokens": 8,
    "task.report_rows": 1,
    "adapter": "lora",
}


@pytest.fixture(scope="session")
def bundles(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the bundle of a short run on a kind of rows (see ``small``): "binary", "conversations" ...; options make another."""
    from tunesmith import config as configs
    from tunesmith.train import run as runs

    root, made = tmp_path_factory.mktemp("bundles"), {}

    def of(kind: str = "binary", **more: Any) -> Path:
        key = f"{kind}-{sorted(more.items())}"
        if key not in made:
            out = root / f"{kind}-{len(made)}"
            config = configs.resolve(keywords=parameters(kind, count=40, out=str(out), **more), environment={})
            made[key] = runs.train(config, quiet=True).folder
        return made[key]

    return of


@pytest.fixture(scope="session")
def served(bundles: Callable[..., Path]) -> Iterator[Served]:
    """A server with the models ``reviews`` (two labels) and ``chat``."""
    with running({"reviews": bundles("binary"), "chat": bundles("conversations", **WRITES)}) as server:
        yield server


@pytest.fixture(scope="session")
def writing(bundles: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the models ``chat``, of a long context, ``translation`` and ``reviews``."""
    base = tiny_generators.write(tmp_path_factory.mktemp("long"), positions=4096)
    translates = {name: value for name, value in WRITES.items() if name != "adapter"}
    folders = {
        "chat": bundles("conversations", **WRITES, **{"model.base": str(base)}),
        "translation": bundles("translations", **translates),
        "reviews": bundles("binary"),
    }
    with running(folders) as server:
        yield server


@pytest.fixture(scope="session")
def every_task(bundles: Callable[..., Path]) -> Iterator[Served]:
    """A server with a model of each task, and of the kinds whose answers look different."""
    writes = {**WRITES, "request.max_tokens": 4}
    folders = {
        "reviews": bundles("binary"),
        "topics": bundles("multi-label"),
        "stars": bundles("regression"),
        "pairs": bundles("pairs"),
        "names": bundles("entities"),
        "questions": bundles("questions"),
        "marked": bundles("marked"),
        "triples": bundles("triples"),
        "alike": bundles("alike"),
        "cross": bundles("alike", **{"task.form": "cross-encoder"}),
        "translations": bundles("translations", **writes),
        "summaries": bundles("summaries", **writes),
        "chat": bundles("conversations", **writes),
    }
    with running(folders, **{"max-time": 20, "body-timeout": 2}) as server:
        yield server
