"""The engine of eight bits: answers near the model's own, every adapter, taken only where it is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from tunesmith import engine_choice, predict
from tunesmith.networks.int8 import Int8Linear
from tunesmith.train.run import Run


@pytest.mark.parametrize("adapter", ["full", "lora", "bottleneck", "prefix"])
def test_its_answers_are_near_the_models_own(run: Callable[..., Run], adapter: str) -> None:
    folder = run("binary", count=80, **{"train.max_steps": 4, "adapter.name": adapter}).folder
    model, own = predict.load(folder, "int8"), predict.load(folder, "pytorch")
    inputs = own.golden_inputs()
    assert model.task.drift(own.golden(inputs), model.golden(inputs), model.target) < 0.05
    blocks = model.engine.network.backbone.layers  # type: ignore[union-attr]
    assert any(isinstance(module, Int8Linear) for module in blocks.modules())
    assert not any(type(module) is nn.Linear for module in blocks.modules())


def test_texts_are_written_and_say_by_what(run: Callable[..., Run]) -> None:
    short = {"train.max_steps": 2, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 4}
    folder = run("summaries", count=60, **short).folder
    (answer,) = predict.load(folder, "int8").answers(["the film was fine"], seed=3)
    assert answer["engine"] == "int8"
    assert 0 < answer["tokens"] <= 8


def test_it_is_taken_only_where_it_is_named(run: Callable[..., Run]) -> None:
    folder = run("binary", count=80, **{"train.max_steps": 2}).folder
    assert engine_choice.openable(folder)[:2] == ["pytorch", "int8"]
    assert predict.load(folder).engine.exact
