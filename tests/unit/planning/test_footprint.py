"""What a network costs: counted numbers against those that follow from its shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith import plugins
from tunesmith.config import Config
from tunesmith.data.prepare import prepare
from tunesmith.planning import footprint
from tunesmith.train import learner
from tunesmith.train.journal import Journal

WIDTH, DEPTH = 32, 2


@pytest.fixture
def costs(config: Callable[..., Config], tmp_path: Path) -> Callable[..., footprint.Footprint]:
    """Gives the costs of the network of a short run."""

    def of(*args: Any, **more: Any) -> footprint.Footprint:
        chosen = config(*args, **more)
        splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), tmp_path / "data")
        learned = learner.assemble(chosen, splits, tmp_path, Journal(tmp_path / "log.jsonl", quiet=True))
        return footprint.of(learned.network, learned.training, np.arange(len(learned.training)), learned.machine)

    return of


def test_operations_are_those_of_the_shape(costs: Callable[..., footprint.Footprint]) -> None:
    found = costs("binary", **{"train.freeze_embeddings": False})
    inside = DEPTH * (4 * WIDTH * WIDTH + 2 * WIDTH * 2 * WIDTH)
    assert found.forward == pytest.approx(2 * inside, rel=0.2)
    assert found.training == pytest.approx(3 * found.forward, rel=0.1)
    assert (found.depth, found.width) == (DEPTH, WIDTH)


def test_frozen_weights_cost_less(costs: Callable[..., footprint.Footprint]) -> None:
    full, lora = costs("binary"), costs("binary", **{"adapter.name": "lora", "adapter.rank": 1})
    assert lora.trainable < full.trainable
    assert lora.training / lora.forward < full.training / full.forward


def test_weights_of_lora_are_counted_before_they_are_there(costs: Callable[..., footprint.Footprint]) -> None:
    assert costs("binary").lora == costs("binary", **{"adapter.name": "lora"}).trainable


def test_activations_grow_with_the_tokens_and_less_when_they_are_made_again(
    costs: Callable[..., footprint.Footprint],
) -> None:
    found = costs("binary")
    per_token = (found.activations(2000, "fp32") - found.activations(1000, "fp32")) / 1000
    assert 4 * WIDTH * DEPTH * 8 < per_token < 4 * WIDTH * DEPTH * 40
    assert found.activations(1000, "bf16") < found.activations(1000, "fp32")
    assert found.checkpointed(1000, "fp32") < found.activations(1000, "fp32")


def test_the_optimizers_state_is_counted() -> None:
    weight = torch.nn.Parameter(torch.ones(10))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    assert footprint.state_bytes(optimizer) == 0
    optimizer.step()
    assert footprint.state_bytes(optimizer) == 2 * 10 * 4 + 4
