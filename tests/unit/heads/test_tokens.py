"""Heads that label every token, and their losses, against plain formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tunesmith.heads import IGNORED, crf
from tunesmith.heads.crf import Chain
from tunesmith.heads.tokens import ChainHead, TokenHead, chain_likelihood, token_cross_entropy

TARGETS = torch.tensor([[IGNORED, 0, 2, IGNORED, 1], [IGNORED, 1, IGNORED, IGNORED, IGNORED], [IGNORED] * 5])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_token_gets_outputs_of_its_own_vector() -> None:
    head, hidden = TokenHead(6, 3, dropout=0.0), noise(2, 4, 6)
    outputs = head(hidden, None)
    assert outputs.shape == (2, 4, 3)
    torch.testing.assert_close(outputs[1, 2], head.linear(hidden[1, 2]))


def test_the_loss_is_the_mean_over_labelled_tokens() -> None:
    outputs = noise(3, 5, 3)
    losses = token_cross_entropy()(outputs, TARGETS)
    for row in range(2):
        labelled = TARGETS[row] != IGNORED
        torch.testing.assert_close(losses[row], F.cross_entropy(outputs[row][labelled], TARGETS[row][labelled]))
    assert losses[2] == 0


def test_weights_scale_tokens_by_their_label() -> None:
    outputs, weights = noise(1, 2, 3), torch.tensor([1.0, 5.0, 0.0])
    found = token_cross_entropy(weights)(outputs, torch.tensor([[1, 2]]))
    torch.testing.assert_close(found, 5 * F.cross_entropy(outputs[0, :1], torch.tensor([1]))[None] / 2)


def test_smoothing_is_that_of_torch() -> None:
    outputs = noise(1, 2, 3)
    found = token_cross_entropy(label_smoothing=0.2)(outputs, torch.tensor([[1, 2]]))
    torch.testing.assert_close(found[0], F.cross_entropy(outputs[0], torch.tensor([1, 2]), label_smoothing=0.2))


def test_a_fresh_chain_is_as_good_as_its_tokens_alone() -> None:
    head, hidden = ChainHead(6, 3, dropout=0.0), noise(3, 5, 6)
    plain = head.linear(hidden)
    torch.testing.assert_close(chain_likelihood(3)(head(hidden, None), TARGETS), token_cross_entropy()(plain, TARGETS))
    torch.testing.assert_close(chain_likelihood(3)(plain, TARGETS), token_cross_entropy()(plain, TARGETS))


def test_the_loss_of_a_chain_is_its_likelihood_per_token() -> None:
    head, hidden = ChainHead(6, 3, dropout=0.0), noise(3, 5, 6)
    with torch.no_grad():
        head.transitions.copy_(noise(3, 3, seed=1))
        head.first.copy_(noise(3, seed=2))
        head.last.copy_(noise(3, seed=3))
    labelled = TARGETS != IGNORED
    one = Chain(head.linear(hidden), head.transitions, head.first, head.last)
    expected = crf.negative_log_likelihood(one, TARGETS, labelled) / labelled.sum(1).clamp_min(1)
    torch.testing.assert_close(chain_likelihood(3)(head(hidden, None), TARGETS), expected)


@pytest.mark.parametrize("make", [TokenHead, ChainHead])
def test_heads_learn_and_dropout_is_off_in_evaluation(make: type[TokenHead]) -> None:
    torch.manual_seed(0)
    head, hidden = make(6, 3, dropout=0.5), noise(3, 5, 6)
    loss = chain_likelihood(3) if make is ChainHead else token_cross_entropy()
    head.eval()
    assert torch.equal(head(hidden, None), head(hidden, None))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    totals: list[float] = []
    for _ in range(30):
        total = loss(head(hidden, None), TARGETS).sum()
        totals.append(float(total.detach()))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < totals[0] / 3
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in head.parameters())


def test_slots_of_a_token_are_labelled_one_after_another() -> None:
    head, hidden = TokenHead(6, 3, dropout=0.0, slots=2), noise(1, 2, 6)
    targets = torch.tensor([[[0, 2], [IGNORED, 1]]])
    outputs = head(hidden, None)
    assert outputs.shape == (1, 2, 6)
    one_by_one = outputs.reshape(4, 3)[[0, 1, 3]]
    expected = F.cross_entropy(one_by_one, torch.tensor([0, 2, 1]))[None]
    torch.testing.assert_close(token_cross_entropy()(outputs, targets), expected)
    chain = ChainHead(6, 3, dropout=0.0, slots=2)
    chain.linear.load_state_dict(head.linear.state_dict())
    torch.testing.assert_close(chain_likelihood(3)(chain(hidden, None), targets), expected)
