"""A step's gradient is the same however it is cut, also where its rows are compared with each other."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tunesmith.heads import embeddings as embedding_heads
from tunesmith.train import whole_step

ROWS, WIDTH = 7, 5


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2 * WIDTH))


def gradient(network: nn.Module, sizes: list[int], name: str) -> tuple[float, list[Tensor], int]:
    """Loss, gradients and forward passes of one step, cut into pieces of some sizes."""
    inputs = torch.randn(ROWS, 3, generator=torch.Generator().manual_seed(1))
    alike = torch.tensor([1.0, 0, 1, 0.5, 0, 1, 1]).round() if name == "in_batch" else torch.rand(ROWS)
    targets = torch.column_stack([alike, torch.arange(2 * ROWS).reshape(2, ROWS).T]).double()
    pieces = np.split(np.random.default_rng(2).permutation(ROWS), np.cumsum(sizes)[:-1])
    loss, passes, order = getattr(embedding_heads, name)(), [], np.concatenate(pieces)

    def outputs_of(piece: np.ndarray) -> Tensor:
        passes.append(len(piece))
        outputs: Tensor = network(inputs[piece])
        return outputs

    network.zero_grad()
    total = whole_step.add_gradients(
        pieces, outputs_of, lambda outputs: loss(outputs, targets[order]).mean(), Tensor.backward
    )
    return float(total), [weight.grad.clone() for weight in network.parameters()], len(passes)


@pytest.mark.parametrize("name", ["ranking", "in_batch"])
@pytest.mark.parametrize("sizes", [[3, 4], [1] * 7, [5, 1, 1]])
def test_the_cut_changes_nothing(network: nn.Module, sizes: list[int], name: str) -> None:
    torch.manual_seed(3)
    whole, expected, once = gradient(network, [ROWS], name)
    torch.manual_seed(3)
    cut, found, passes = gradient(network, sizes, name)
    assert cut == pytest.approx(whole)
    assert any(part.abs().max() > 1e-3 for part in expected)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other)
    assert (once, passes) == (1, 2 * len(sizes))


def test_both_passes_drop_the_same_numbers() -> None:
    dropout = nn.Dropout(0.5)
    seen: list[Tensor] = []

    def outputs_of(piece: np.ndarray) -> Tensor:
        seen.append(dropout(torch.ones(len(piece), 20, requires_grad=True)))
        return seen[-1]

    pieces = [np.arange(3), np.arange(3, 5)]
    whole_step.add_gradients(pieces, outputs_of, lambda outputs: outputs.square().sum(), Tensor.backward)
    torch.testing.assert_close(seen[0], seen[2])
    torch.testing.assert_close(seen[1], seen[3])
    assert not torch.equal(seen[0][:2], seen[1])


def test_the_last_pass_is_told() -> None:
    told: list[bool] = []

    def around(last: bool) -> nullcontext:
        told.append(last)
        return nullcontext()

    weight = torch.ones(1, requires_grad=True)
    pieces = [np.arange(2), np.arange(1), np.arange(3)]
    loss = whole_step.add_gradients(pieces, lambda piece: weight.expand(len(piece)), torch.sum, Tensor.backward, around)
    assert told == [False, False, True]
    assert float(loss) == 6
    assert not loss.requires_grad
    assert weight.grad.tolist() == [6]
    whole_step.add_gradients(pieces[:1], lambda piece: weight.expand(len(piece)), torch.sum, Tensor.backward, around)
    assert told[3:] == [True]
