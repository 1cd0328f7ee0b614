"""Gradients of a loss that compares all rows of a step, although the step does not fit in one forward pass.

After Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache): the outputs of
all micro-batches are computed without a graph, the loss and its gradient at the outputs from all of them together, and
then each micro-batch once more with a graph that this gradient goes back through. It costs one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.train import state

Piece = np.ndarray


def _nothing(last: bool) -> AbstractContextManager[Any]:
    return nullcontext()


def add_gradients(
    pieces: Sequence[Piece],
    outputs_of: Callable[[Piece], Tensor],
    loss_of: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], Any],
    around: Callable[[bool], AbstractContextManager[Any]] = _nothing,
) -> Tensor:
    """Add up the gradients of one step; they do not depend on how it is cut.

    Args:
        pieces: the micro-batches of the step, as numbers of sequences.
        outputs_of: the network's outputs of a micro-batch; it is called twice with the same random state.
        loss_of: the loss, a number, of the outputs of all micro-batches, one after the other.
        backward: differentiates a number and adds to the gradients of the network.
        around: what a forward and backward pass happens in; told whether it is the step's last.

    Returns:
        The loss of the step, without a graph.
    """
    if len(pieces) == 1:
        with around(True):
            loss = loss_of(outputs_of(pieces[0]))
            backward(loss)
        return loss.detach()
    random, found = [], []
    with torch.no_grad():
        for piece in pieces:
            random.append(state.random_state())
            found.append(outputs_of(piece))
    whole = torch.cat(found).requires_grad_()
    loss = loss_of(whole)
    gradients = torch.split(torch.autograd.grad(loss, whole)[0], [len(outputs) for outputs in found])
    for place, (piece, before, gradient) in enumerate(zip(pieces, random, gradients, strict=True), 1):
        state.set_random_state(before)
        with around(place == len(pieces)):
            backward((outputs_of(piece) * gradient).sum())
    return loss.detach()
