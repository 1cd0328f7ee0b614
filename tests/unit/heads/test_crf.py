"""Conditional random fields against the sum over every sequence of labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.heads import crf
from tunesmith.heads.crf import Chain
from tunesmith.outputs import chain_marginals


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chain(rows: int = 3, places: int = 4, labels: int = 3, seed: int = 0) -> Chain:
    return Chain(
        noise(rows, places, labels, seed=seed),
        noise(labels, labels, seed=seed + 1),
        noise(labels, seed=seed + 2),
        noise(labels, seed=seed + 3),
    )


MASKS = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)


def every_path(one: Chain, row: int, mask: Tensor) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """All label sequences of the masked places, each with its score, added up term by term."""
    emitted = one.emissions[row][mask[row]]
    for path in itertools.product(range(emitted.shape[1]), repeat=len(emitted)):
        score = one.first[path[0]] + one.last[path[-1]] + sum(emitted[place, label] for place, label in enumerate(path))
        for before, now in itertools.pairwise(path):
            score = score + one.transitions[before, now]
        yield path, score


@pytest.mark.parametrize("seed", range(5))
def test_the_partition_is_the_sum_over_all_sequences(seed: int) -> None:
    one = chain(seed=10 * seed)
    found = crf.log_partition(one, MASKS)
    for row in range(3):
        scores = torch.stack([score for _, score in every_path(one, row, MASKS)])
        torch.testing.assert_close(found[row], scores.logsumexp(0))


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_of_a_sequence_is_its_share(seed: int) -> None:
    one = chain(seed=10 * seed)
    labels = torch.randint(0, 3, (3, 4), generator=torch.Generator().manual_seed(seed))
    found = crf.negative_log_likelihood(one, labels, MASKS)
    for row in range(3):
        paths = dict(every_path(one, row, MASKS))
        total = torch.stack(list(paths.values())).logsumexp(0)
        torch.testing.assert_close(found[row], total - paths[tuple(labels[row][MASKS[row]].tolist())])


@pytest.mark.parametrize("seed", range(5))
def test_marginals_are_the_weights_of_the_sequences_through_a_label(seed: int) -> None:
    one = chain(seed=10 * seed)
    for row in range(3):
        expected = torch.zeros(4, 3, dtype=torch.float64)
        places = MASKS[row].nonzero().flatten().tolist()
        paths = list(every_path(one, row, MASKS))
        weights = torch.stack([score for _, score in paths]).softmax(0)
        for (path, _), weight in zip(paths, weights, strict=True):
            for place, label in zip(places, path, strict=True):
                expected[place, label] += weight
        found = chain_marginals(one.packed()[row].numpy(), np.array(places), 3)
        torch.testing.assert_close(torch.from_numpy(found), expected[places])


def test_a_sequence_without_places_has_no_loss() -> None:
    one, mask = chain(rows=1), torch.zeros(1, 4, dtype=torch.bool)
    assert crf.negative_log_likelihood(one, torch.zeros(1, 4, dtype=torch.long), mask).tolist() == [0.0]
    assert chain_marginals(one.packed()[0].numpy(), np.array([], int), 3).shape == (0, 3)


def test_what_stands_outside_the_mask_does_not_matter() -> None:
    one = chain()
    emissions = one.emissions.masked_fill(~MASKS.unsqueeze(2), 1e6)
    other = Chain(emissions, one.transitions, one.first, one.last)
    labels = torch.ones(3, 4, dtype=torch.long)
    found = crf.negative_log_likelihood(one, labels, MASKS)
    torch.testing.assert_close(crf.negative_log_likelihood(other, labels.masked_fill(~MASKS, 2), MASKS), found)


def test_gradients_agree_with_finite_differences() -> None:
    one = chain(rows=2)
    labels = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 0]])

    def loss(emissions: Tensor, transitions: Tensor, first: Tensor, last: Tensor) -> Tensor:
        return crf.negative_log_likelihood(Chain(emissions, transitions, first, last), labels, MASKS[:2])

    parts = [part.requires_grad_() for part in (one.emissions, one.transitions, one.first, one.last)]
    assert torch.autograd.gradcheck(loss, parts)


def test_a_chain_is_packed_and_unpacked() -> None:
    one = chain(labels=5)
    again = Chain.unpacked(one.packed(), 5)
    for name in ("emissions", "transitions", "first", "last"):
        assert torch.equal(getattr(again, name), getattr(one, name))
