"""Bundles that are swept: trained once for all tests here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WRITES: dict[str, Any] = {
    "train.epochs": 2,
    "model.max_length": 96,
    "request.max_tokens": 6,
    "task.report_rows": 1,
    "adapter": "full",
}


@pytest.fixture(scope="session")
def bundles(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives the bundle of a short run on a kind of rows (see ``small``)."""
    from tunesmith import config as configs
    from tunesmith.train import run as runs

    root, made = tmp_path_factory.mktemp("swept"), {}

    def of(kind: str, family: str | None = None) -> Path:
        if (kind, family) not in made:
            out = root / f"{kind}-{len(made)}"
            more = WRITES if kind in ("conversations", "translations", "summaries") else {}
            keywords = parameters(kind, family, count=60, out=str(out), **more)
            made[kind, family] = runs.train(configs.resolve(keywords=keywords, environment={}), quiet=True).folder
        return made[kind, family]

    return of


@pytest.fixture
def bot(bundles: Callable[..., Path], tmp_path: Path) -> Path:
    """A copy of a bundle that chats, for tests that write into it."""
    import shutil

    return Path(shutil.copytree(bundles("conversations"), tmp_path / "bot"))
