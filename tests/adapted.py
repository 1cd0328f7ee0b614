"""Adapters on tiny models, trained for a few steps; for the tests of the contract that every adapter keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

import tiny
from tunesmith import plugins
from tunesmith.bundle import Bundle
from tunesmith.networks.network import Network
from tunesmith.train import optim
from tunesmith.train.learner import Learner

FAMILIES = get_args(tiny.Family)
ADAPTERS = tuple(name for name in plugins.names("adapters") if name != "qlora")
"""All but the one that changes the base model, and needs a library for that."""
SMALL = tuple(name for name in ADAPTERS if plugins.load("adapters", name).needs_base)
"""Those that are saved without the base model."""
OPTIONS: dict[str, dict[str, Any]] = {
    "adalora": {"adapter.rank": 1, "adapter.first_rank": 2},
    "bottleneck": {"adapter.size": 4},
    "dora": {"adapter.rank": 2},
    "freeze": {"adapter.train_layers": 1},
    "lora": {"adapter.rank": 2},
    "oft": {"adapter.block_size": 8},
    "p-tuning": {"adapter.tokens": 4, "adapter.encoder_size": 16},
    "peft": {"adapter.type": "LOKR", "adapter.options": {"r": 2}},
    "prefix": {"adapter.tokens": 4},
    "prompt": {"adapter.tokens": 4},
    "vera": {"adapter.rank": 8},
}
"""What a model of two blocks needs said, where an adapter's defaults are for larger ones."""
OURS = ("bottleneck", "prefix")
"""Those that PEFT lacks, or has otherwise."""
SOME = np.arange(6)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}

Build = Callable[..., Learner]


@dataclass(frozen=True)
class Trained:
    """A learner after some steps, the losses of these steps, the backbone's weights before them, and its bundle."""

    learner: Learner
    losses: list[float]
    before: dict[str, Tensor]
    bundle: Bundle
    outputs: Tensor


def steps(learned: Learner, count: int = 8) -> list[float]:
    """Full-batch steps without dropout."""
    network, rows = learned.network, np.arange(len(learned.training))
    optimizer = optim.build(network, learned.config.train)
    network.eval()
    losses = []
    for _ in range(count):
        loss = learned.loss(network(learned.training.collate(rows)), learned.training.targets_of(rows)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def outputs(network: Network, learned: Learner) -> Tensor:
    """From token ids, whatever is kept."""
    with torch.no_grad():
        return network.eval()(learned.validation.tokens(SOME))
