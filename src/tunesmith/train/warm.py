"""What is done with the frozen base model before training: keep its states, start the head, measure the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith import heads, machine
from tunesmith.data import batch
from tunesmith.data.examples import Examples
from tunesmith.engines.pytorch import Engine
from tunesmith.errors import TrainingError
from tunesmith.heads import RowLoss
from tunesmith.machine import Machine
from tunesmith.networks.network import Network

_CANDIDATE_L2 = (3e-4, 3e-3, 3e-2, 3e-1)
_WORTH_ITS_MEMORY = 1.05
CANDIDATE_MICRO_TOKENS = (1024, 2048, 4096, 8192, 16384)

MOST_TOKENS = 20_000
"""Tokens that a head which labels each of them is fitted to."""


def keep_states(
    network: Network, examples: Examples, where: Path, runs_on: Machine, chosen: np.ndarray | None = None
) -> None:
    """Compute what the frozen lower blocks give for these examples once, and use it from then on.

    With every block frozen it is the head's features, in memory; otherwise the hidden states, in a file.

    Args:
        network: the base model and its head.
        examples: the rows.
        where: the file.
        runs_on: the machine.
        chosen: the only sequences that will be asked for; None: all.
    """
    chosen = np.arange(len(examples)) if chosen is None else chosen
    if network.depth == network.backbone.depth and network.head.pools:
        found = torch.stack(features(network, examples, chosen, runs_on))
        kept = found.new_zeros(len(examples), *found.shape[1:])
        kept[torch.from_numpy(chosen)] = found
        examples.keep_features(kept)
        return
    _check_space(network, examples, where, runs_on)
    network.to(runs_on.device).eval()
    store = examples.keep_hidden(where, network.backbone.width, runs_on.precision)
    for places in batch.SortedBatches.of(examples.lengths[chosen], micro_tokens=Engine.batch_tokens).batches:
        indices = chosen[places]
        with _no_gradient(runs_on):
            inputs = {"attention_mask": None, **_moved(examples.tokens(indices), runs_on)}
            hidden = network.backbone.lower(inputs, network.depth)
        for slot, states in zip(examples.slots(indices), hidden, strict=True):
            store.put(slot, states)


def features(network: Network, examples: Examples, chosen: np.ndarray, runs_on: Machine) -> list[Tensor]:
    """What the head's last layer sees of each chosen sequence, (F,) or (its tokens, F), without dropout and gradient."""
    network.to(runs_on.device).eval()
    plan = batch.SortedBatches.of(examples.lengths[chosen], micro_tokens=Engine.batch_tokens)
    found: list[Tensor] = []
    with _no_gradient(runs_on):
        for places in plan.batches:
            inputs = _moved(examples.collate(chosen[places]), runs_on)
            batched = (inputs["features"] if "features" in inputs else network.features(inputs)).float().cpu()
            lengths = examples.lengths[chosen[places]].tolist()
            found += [row if row.dim() == 1 else row[:length] for row, length in zip(batched, lengths, strict=True)]
    return [found[place] for place in plan.inverse]


def start_head(
    network: Network,
    examples: Examples,
    loss: RowLoss,
    most_rows: int,
    seed: int,
    runs_on: Machine,
    among: np.ndarray | None = None,
) -> None:
    """Fit the head to the frozen base model on some of the training rows, so that training starts where a linear probe ends.

    ``among`` numbers the sequences that it may be shown; None: all.
    """
    candidates = np.arange(len(examples)) if among is None else among
    chosen = np.sort(np.random.default_rng(seed).permutation(candidates)[:most_rows])
    fit_head(network, *samples(features(network, examples, chosen, runs_on), examples, chosen, seed), loss, runs_on)


def fit_head(network: Network, found: Tensor, targets: Tensor, loss: RowLoss, runs_on: Machine) -> None:
    """Fit the head's last layer to features and their targets, as ``samples`` gives them."""
    linear = network.head.linear
    assert linear is not None
    network.head.cpu()
    heads.fit_linear(linear, found, targets, loss, l2=best_l2(linear, found, targets, loss))
    network.head.to(runs_on.device)


def samples(found: list[Tensor], examples: Examples, chosen: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
    """Features and targets of what is learned: of each sequence, or of tokens, which become sequences of one token."""
    targets = examples.targets_of(chosen)
    if found[0].dim() == 1:
        return torch.stack(found), targets
    flat = torch.cat([row[: len(tokens)] for row, tokens in zip(targets, found, strict=True)])
    labelled = torch.nonzero((flat != heads.IGNORED).reshape(len(flat), -1).any(1)).squeeze(1)
    order = np.random.default_rng(seed).permutation(len(labelled))[:MOST_TOKENS]
    kept = labelled[torch.from_numpy(np.sort(order))]
    return torch.cat(found)[kept].unsqueeze(1), flat[kept].unsqueeze(1)


def best_l2(linear: nn.Linear, found: Tensor, targets: Tensor, loss: RowLoss) -> float:
    """The weight decay of the layer that loses least on every fifth row, which the fit is not shown."""
    held_out = torch.arange(len(found)) % 5 == 4
    losses = {}
    for l2 in _CANDIDATE_L2:
        heads.fit_linear(linear, found[~held_out], targets[~held_out], loss, l2=l2)
        with torch.no_grad():
            losses[l2] = float(loss(linear(found[held_out]), targets[held_out]).mean())
    return min(losses, key=lambda l2: losses[l2])


def measure_micro_tokens(network: Network, examples: Examples, loss: RowLoss, batch_rows: int, runs_on: Machine) -> int:
    """The tokens of one forward and backward pass that go fastest on this machine, found by trying a few.

    It is only measured where a step is larger than the smallest candidate, and it leaves no trace in the network. A
    larger pass must be clearly faster to be worth its memory: the first that is not ends the search.
    """
    longest = np.argsort(-examples.lengths, kind="stable")[:batch_rows]
    largest = int(examples.lengths[longest].sum())
    candidates = [tokens for tokens in CANDIDATE_MICRO_TOKENS if tokens < largest]
    if not candidates:
        return max(CANDIDATE_MICRO_TOKENS[0], largest)
    speeds: dict[int, float] = {}
    network.to(runs_on.device).train()
    for tokens in [*candidates, largest][: len(CANDIDATE_MICRO_TOKENS)]:
        try:
            piece = batch.micro_batches(examples.lengths[longest], longest, tokens)[0]
            _pass(network, examples, loss, piece, runs_on)
            began = time.monotonic()
            _pass(network, examples, loss, piece, runs_on)
            speed = examples.lengths[piece].sum() / (time.monotonic() - began)
            if speed < _WORTH_ITS_MEMORY * max(speeds.values(), default=0.0):
                break
            speeds[tokens] = speed
        except Exception as error:
            if not machine.is_out_of_memory(error):
                raise
            break
        finally:
            network.zero_grad()
    if not speeds:
        raise TrainingError(
            "not even the smallest micro-batch fits in memory",
            hint="lower model.max_length or take a smaller model.base",
        )
    return max(speeds)


def _pass(network: Network, examples: Examples, loss: RowLoss, piece: np.ndarray, runs_on: Machine) -> None:
    inputs = _moved(examples.collate(piece), runs_on)
    with torch.autocast(runs_on.device, dtype=torch.bfloat16, enabled=runs_on.precision == "bf16"):
        outputs = network(inputs)
    loss(outputs, examples.targets_of(piece).to(runs_on.device)).mean().backward()  # type: ignore[no-untyped-call]


@contextmanager
def _no_gradient(runs_on: Machine) -> Iterator[None]:
    with torch.no_grad(), torch.autocast(runs_on.device, dtype=torch.bfloat16, enabled=runs_on.precision == "bf16"):
        yield


def _moved(inputs: dict[str, Tensor], runs_on: Machine) -> dict[str, Tensor]:
    return {name: tensor.to(runs_on.device) for name, tensor in inputs.items()}


def _check_space(network: Network, examples: Examples, where: Path, runs_on: Machine) -> None:
    needed = int(examples.lengths.sum()) * network.backbone.width * (2 if runs_on.precision == "bf16" else 4)
    free = machine.free_disk_bytes(where)
    if needed > free * 0.9:
        hint = "free some space, lower model.max_length, or take adapter.name full or lora, which keep nothing"
        raise TrainingError(
            f"keeping the frozen layers' states takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            hint=hint,
        )
