"""What a network costs by itself: its weights, the activations that a pass keeps for its gradient, its operations.

Activations are counted and not guessed: a pass over few rows tells which tensors it keeps, and one over more rows how
many of their bytes each token adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tunesmith.data.examples import Examples
from tunesmith.machine import Machine
from tunesmith.networks.network import Network

_FP32 = 4
_BF16 = 2
_LORA_RANK = 16


@dataclass(frozen=True)
class Footprint:
    """Costs of a network as it trains.

    Args:
        parameters: weights.
        trainable: those that train.
        lora: weights that LoRA of rank 16 would train instead, with those of the head.
        depth: blocks.
        width: of a token's vector.
        kept: bytes that a training pass keeps for each padded token, by number format.
        kept_once: bytes that it keeps besides, by number format (weights in that format).
        forward: floating point operations of a forward pass, for each padded token.
        training: those of a forward and backward pass.
    """

    parameters: int
    trainable: int
    lora: int
    depth: int
    width: int
    kept: dict[str, float]
    kept_once: dict[str, float]
    forward: float
    training: float

    def activations(self, tokens: int, precision: str) -> int:
        """Bytes kept by a pass over so many padded tokens."""
        return int(self.kept_once[precision] + self.kept[precision] * tokens)

    def checkpointed(self, tokens: int, precision: str) -> int:
        """The same with gradient checkpointing: the states between the blocks, and all of one block."""
        between = self.depth * self.width * (_BF16 if precision == "bf16" else _FP32)
        return int(self.kept_once[precision] + (between + self.kept[precision] / self.depth) * tokens)


def of(network: Network, examples: Examples, chosen: np.ndarray, runs_on: Machine) -> Footprint:
    """The costs of a network, found with passes over a few of the chosen sequences, those nearest to the longest."""
    network.to(runs_on.device).train()
    rows = chosen[np.argsort(-examples.lengths[chosen], kind="stable")][:4]
    rows = np.resize(rows, 4)
    kept, once = {}, {}
    for precision in ("fp32", "bf16"):
        (few, few_tokens), (more, more_tokens) = (
            _kept(network, examples, rows[:count], precision, runs_on) for count in (2, 4)
        )
        kept[precision] = (more - few) / max(1, more_tokens - few_tokens)
        once[precision] = max(0.0, few - kept[precision] * few_tokens)
    forward, training = _operations(network, examples, rows, runs_on)
    return Footprint(
        parameters=sum(weight.numel() for weight in network.parameters()),
        trainable=sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        lora=_lora_weights(network) + sum(weight.numel() for weight in network.head.parameters()),
        depth=network.backbone.depth,
        width=network.backbone.width,
        kept=kept,
        kept_once=once,
        forward=forward,
        training=training,
    )


def state_bytes(optimizer: Optimizer) -> int:
    """Bytes of the optimizer's state."""
    tensors = (value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _kept(network: Network, examples: Examples, rows: np.ndarray, precision: str, runs_on: Machine) -> tuple[int, int]:
    """Bytes that a pass over some sequences keeps beside the weights, and its padded tokens."""
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    inputs = _inputs(examples, rows, runs_on)
    enabled = precision == "bf16"
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast(runs_on.device, dtype=torch.bfloat16, enabled=enabled):
            outputs = network(inputs)
        del outputs
    return sum(found.values()), _padded(examples, rows)


def _operations(network: Network, examples: Examples, rows: np.ndarray, runs_on: Machine) -> tuple[float, float]:
    """Operations for each padded token: of the forward pass, and of both passes."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        outputs = network(_inputs(examples, rows, runs_on))
        forward = counter.get_total_flops()
        outputs.sum().backward()
    network.zero_grad()
    tokens = _padded(examples, rows)
    return forward / tokens, counter.get_total_flops() / tokens


def _lora_weights(network: Network) -> int:
    """Weights of updates beside every linear layer of the base model but the one over the vocabulary."""
    over_words = getattr(network.backbone.model, "get_output_embeddings", lambda: None)()
    return sum(
        _LORA_RANK * (layer.in_features + layer.out_features)
        for layer in network.backbone.modules()
        if isinstance(layer, nn.Linear) and layer is not over_words
    )


def _inputs(examples: Examples, rows: np.ndarray, runs_on: Machine) -> dict[str, Tensor]:
    return {name: tensor.to(runs_on.device) for name, tensor in examples.collate(rows).items()}


def _padded(examples: Examples, rows: np.ndarray) -> int:
    return int(examples.lengths[rows].max()) * len(rows)
