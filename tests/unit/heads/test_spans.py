"""The head of answers: scores of starts and ends, and a loss that sees only where they may be."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tunesmith.heads import IGNORED
from tunesmith.heads.spans import END, START, SpanHead, span_cross_entropy

N = IGNORED
TARGETS = torch.tensor([[0, N, START, END, 0, N], [START | END, N, N, 0, N, N]])
OUTPUTS = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))


def test_each_token_has_a_score_of_start_and_end() -> None:
    head = SpanHead(8, dropout=0.5)
    hidden = torch.randn(2, 5, 8, dtype=torch.bfloat16)
    assert head(hidden, None).shape == (2, 5, 2)
    assert head(hidden, None).dtype == torch.float32
    assert (head.linear, head.pools) == (None, False)
    torch.testing.assert_close(head.eval()(hidden, None), head.ends(hidden.float()))


def test_loss_is_the_mean_cross_entropy_of_start_and_end() -> None:
    losses = span_cross_entropy()(OUTPUTS, TARGETS)
    first = OUTPUTS[0, [0, 2, 3, 4]]
    expected = (F.cross_entropy(first[:, 0], torch.tensor(1)) + F.cross_entropy(first[:, 1], torch.tensor(2))) / 2
    assert losses.shape == (2,)
    torch.testing.assert_close(losses[0], expected)
    second = OUTPUTS[1, [0, 3]]
    expected = (F.cross_entropy(second[:, 0], torch.tensor(0)) + F.cross_entropy(second[:, 1], torch.tensor(0))) / 2
    torch.testing.assert_close(losses[1], expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_other_tokens_and_padding_change_nothing(smoothing: float) -> None:
    loss = span_cross_entropy(label_smoothing=smoothing)
    changed = OUTPUTS.clone().requires_grad_()
    with torch.no_grad():
        changed[TARGETS == IGNORED] = 1e4
    torch.testing.assert_close(loss(changed, TARGETS), loss(OUTPUTS, TARGETS))
    loss(changed, TARGETS).sum().backward()
    assert changed.grad is not None
    assert changed.grad.isfinite().all()
    assert not changed.grad[TARGETS == IGNORED].any()
    longer = F.pad(OUTPUTS, (0, 0, 0, 3)), F.pad(TARGETS, (0, 3), value=IGNORED)
    torch.testing.assert_close(loss(*longer), loss(OUTPUTS, TARGETS))


def test_smoothing_spreads_over_what_is_possible() -> None:
    first = OUTPUTS[0, [0, 2, 3, 4]]
    expected = sum(
        F.cross_entropy(first[:, side], torch.tensor(at), label_smoothing=0.2) for side, at in ((0, 1), (1, 2))
    )
    torch.testing.assert_close(span_cross_entropy(label_smoothing=0.2)(OUTPUTS, TARGETS)[0], expected / 2)
