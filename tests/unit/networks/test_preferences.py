"""Preferences: the loss by hand, the frozen model, and that the order of pairs is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import tiny_generators
from tiny_generators import Kind
from tunesmith import plugins
from tunesmith.config import Model
from tunesmith.errors import DataError
from tunesmith.networks.language_model import LanguageModel

ROWS = [
    {"prompt": "where is my card", "chosen": "it is here", "rejected": "rain again"},
    {"prompt": "the weather in Paris", "chosen": "fine", "rejected": "what a waste of time and no end"},
    {"prompt": "top up my account", "chosen": "with a new card", "rejected": "bad"},
]


def built(folder: Path, kind: Kind, adapter: str, **options: Any) -> tuple[Any, Any]:
    """A network of preferences and its examples."""
    module = plugins.module("tasks", "chat")
    task = module.Task(module.Params(**options))
    path = tiny_generators.write(folder / kind, kind)
    rows = pa.Table.from_pylist([task.read_row(row) for row in ROWS], schema=task.schema())
    target, reading = task.learn(rows), Model(max_length=128)
    tokenizer, backbone = task.load_tokenizer(path, path), task.load_base(path)
    torch.manual_seed(0)
    plugin = plugins.module("adapters", adapter)
    plugin.Adapter(plugin.Params()).apply(backbone)
    return task.network(backbone, target, reading), task.encode(rows, tokenizer, reading, folder / "tokens", target)


@pytest.mark.parametrize("adapter", ["lora", "full", "freeze"])
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_pairs_are_put_in_order(tmp_path: Path, kind: Kind, adapter: str) -> None:
    network, examples = built(tmp_path, kind, adapter)
    everything = np.arange(len(examples))
    assert len(examples) == len(ROWS)
    inputs = examples.collate(everything)
    start = network.eval()(inputs)
    torch.testing.assert_close(start[:, 0], torch.full((3,), float(np.log(2))))
    torch.testing.assert_close(start[:, 2], torch.zeros(3), atol=1e-4, rtol=0)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.01)
    network.train()
    for _ in range(10):
        optimizer.zero_grad()
        network(inputs)[:, 0].mean().backward()
        optimizer.step()
    end = network.eval()(inputs)
    assert end[:, 0].max() < np.log(2)
    assert end[:, 1].tolist() == [1.0] * 3
    torch.testing.assert_close(end[0], network(examples.collate(everything[:1]))[0], atol=1e-4, rtol=1e-4)


def test_the_loss_is_that_of_the_paper(tmp_path: Path) -> None:
    network, examples = built(tmp_path, "llama", "full", beta=0.3)
    with torch.no_grad():
        for weight in network.backbone.parameters():
            weight += 0.05 * torch.randn_like(weight)
    network.eval()
    inputs = examples.collate(np.arange(3))
    plain = {name: tensor for name, tensor in inputs.items() if name != "pairs"}
    now, then = (-LanguageModel(one).eval()(plain)[:, 0] for one in (network.backbone, network.reference.backbone))
    margin = (now[:3] - then[:3]) - (now[3:] - then[3:])
    torch.testing.assert_close(network(inputs)[:, 0], -torch.log(torch.sigmoid(0.3 * margin)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(network(inputs)[:, 2], margin, atol=1e-4, rtol=1e-4)


def test_the_frozen_model_stays(tmp_path: Path) -> None:
    network, examples = built(tmp_path, "llama", "lora")
    inputs = examples.collate(np.arange(3))
    plain = {name: tensor for name, tensor in inputs.items() if name != "pairs"}
    before = network.eval()._reference(plain)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight += 0.1
    torch.testing.assert_close(network._reference(plain), before)
    assert any(weight.requires_grad for weight in network.parameters())
    assert not torch.allclose(LanguageModel.forward(network, plain)[:, 0], before)


def test_without_pairs_it_is_a_language_model(tmp_path: Path) -> None:
    network, examples = built(tmp_path, "llama", "lora")
    plain = {name: tensor for name, tensor in examples.collate(np.arange(3)).items() if name != "pairs"}
    assert torch.equal(network.eval()(plain), LanguageModel(network.backbone).eval()(plain))


def test_rejected_answers_can_be_left_aside(tmp_path: Path) -> None:
    network, examples = built(tmp_path, "llama", "lora", preferences="ignore")
    assert type(network) is LanguageModel
    assert network(examples.collate(np.arange(3))).shape == (3, 2)


def test_half_of_a_set_of_pairs_is_refused() -> None:
    module = plugins.module("tasks", "chat")
    task = module.Task(module.Params())
    rows = [task.read_row(row) for row in [*ROWS, {"prompt": "a", "completion": "b"}]]
    with pytest.raises(DataError, match="3 of 4 rows"):
        task.learn(pa.Table.from_pylist(rows, schema=task.schema()))
