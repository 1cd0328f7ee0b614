"""One step's gradient: forward and backward over its micro-batches, whose sum is that of the whole step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from tunesmith import machine
from tunesmith.adapters.base import Adapter
from tunesmith.config import Train
from tunesmith.data import batch
from tunesmith.data.examples import Examples
from tunesmith.errors import TrainingError
from tunesmith.heads import RowLoss, StepLoss
from tunesmith.heads.divergences import Divergence
from tunesmith.train import optim, processes, regularise, whole_step

LEAST_MICRO_TOKENS = 64


@dataclass(frozen=True)
class Work:
    """What every step works on.

    Args:
        network: as Accelerate prepared it.
        examples: training sequences with targets.
        loss: loss a sequence.
        divergence: of two outputs of the same sequences, which R-Drop asks for.
        train: the config's section.
        accelerator: of the run.
        adapter: which weights of the base model train.
    """

    network: nn.Module
    examples: Examples
    loss: RowLoss
    divergence: Divergence | None
    train: Train
    accelerator: Accelerator
    adapter: Adapter


def gradients(work: Work, indices: np.ndarray, micro_tokens: int, step: int) -> tuple[float, float]:
    """Accumulate the gradient of a step.

    Args:
        work: what to compute.
        indices: the step's sequences.
        micro_tokens: padded tokens in one forward pass.
        step: number of the step.

    Returns:
        The step's mean loss, and the norm of its gradient before clipping.
    """
    accelerator, total = work.accelerator, 0.0
    mine = indices[accelerator.process_index :: accelerator.num_processes]
    # Processes average their gradients, so each must take part; one that has no rows of a short batch adds nothing.
    share = accelerator.num_processes / work.examples.weight(indices) if len(mine) else 0.0
    mine = mine if len(mine) else indices[:1]
    pieces = batch.micro_batches(work.examples.lengths[mine], mine, micro_tokens)
    if isinstance(work.loss, StepLoss):
        total = _compared(work, pieces, share)
    else:
        for number, piece in enumerate(pieces, 1):
            with regularise.no_sync_until(accelerator, work.network, last=number == len(pieces)):
                loss = _losses(work, piece).sum() * share
                accelerator.backward(loss)
            total += float(loss.detach())
    work.adapter.shape_gradients()
    optim.shape_gradients(accelerator.unwrap_model(work.network), work.train, step)
    weights = list(optim.trainable(work.network))
    norm = accelerator.clip_grad_norm_(weights, work.train.gradient_clip or math.inf)
    return processes.total(accelerator, total) / accelerator.num_processes, float(norm)


def check_can_shrink(error: Exception, micro_tokens: int, accelerator: Accelerator) -> None:
    """Raise the error on unless a step in smaller pieces may avoid it.

    Raises:
        TrainingError: memory ran out, and the pieces cannot be smaller.
    """
    if not machine.is_out_of_memory(error):
        raise error
    if micro_tokens <= LEAST_MICRO_TOKENS or accelerator.num_processes > 1:
        hint = f"set train.micro_tokens below {micro_tokens}, lower model.max_length, or take a smaller base"
        raise TrainingError(f"out of memory with micro-batches of {micro_tokens} tokens", hint=hint) from None


def _compared(work: Work, pieces: list[np.ndarray], share: float) -> float:
    """Gradients of a loss that compares all rows of the step with each other."""
    targets = work.examples.targets_of(np.concatenate(pieces)).to(work.accelerator.device)
    loss = whole_step.add_gradients(
        pieces,
        lambda piece: _outputs(work, piece),
        lambda outputs: work.loss(outputs, targets).sum() * share,
        work.accelerator.backward,
        lambda last: regularise.no_sync_until(work.accelerator, work.network, last=last),
    )
    return float(loss)


def _losses(work: Work, piece: np.ndarray) -> Tensor:
    """Loss of each sequence of a micro-batch (B,); with R-Drop, of two passes and their divergence."""
    targets = work.examples.targets_of(piece).to(work.accelerator.device)
    outputs = _outputs(work, piece)
    losses = work.loss(outputs, targets)
    if not work.train.r_drop or work.divergence is None:
        return losses
    again = _outputs(work, piece)
    both = (losses + work.loss(again, targets)) / 2
    return both + work.train.r_drop * work.divergence(outputs, again, targets)


def _outputs(work: Work, piece: np.ndarray) -> Tensor:
    device = work.accelerator.device
    outputs: Tensor = work.network({name: tensor.to(device) for name, tensor in work.examples.collate(piece).items()})
    return outputs
