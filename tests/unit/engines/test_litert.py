"""A file for LiteRT gives the network's answers; wherever its packages are, which may be an environment of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tunesmith import exporting, predict
from tunesmith.errors import UsageError
from tunesmith.train.run import Run


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["binary", "entities", "similarity"])
def test_its_answers_are_the_networks(run: Callable[..., Run], kind: str) -> None:
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("litert_torch")
    folder = run(kind, count=80, **{"train.max_steps": 3}).folder
    record = exporting.export(folder, "litert")
    assert record.drift is not None
    assert record.drift < 1e-4
    here = predict.load(folder, "pytorch")
    inputs = here.golden_inputs()[:4]
    found: list[Any] = predict.load(folder, "litert").answers(inputs)
    for theirs, own in zip(found, here.answers(inputs), strict=True):
        assert theirs.keys() == own.keys()
        assert theirs.get("label") == own.get("label")


def test_a_length_below_the_models_is_refused(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    folder = run("binary", count=40, **{"train.max_steps": 1}).folder
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="litert-torch is not installed"):
        exporting.export(folder, "litert")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match="shorter than what the model reads"):
        exporting.export(folder, "litert", options={"length": 8})
