"""How far outputs are apart, against the formulas; of kinds of tokens, against the divergence of labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tunesmith.heads import IGNORED, divergences
from tunesmith.heads.divergences import Divergence
from tunesmith.heads.spans import END, START

NONE = torch.zeros(0)
P, Q = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()


def test_labels_have_the_mean_of_both_kullback_leibler_divergences() -> None:
    expected = sum((a - b) * math.log(a / b) for a, b in ((0.8, 0.5), (0.2, 0.5))) / 2
    assert divergences.labels(P, Q + 3, NONE).tolist() == pytest.approx([expected])
    first, second = torch.randn(5, 7), torch.randn(5, 7)
    p, q = first.log_softmax(1), second.log_softmax(1)
    both = F.kl_div(p, q, log_target=True, reduction="none") + F.kl_div(q, p, log_target=True, reduction="none")
    torch.testing.assert_close(divergences.labels(first, second, NONE), both.sum(1) / 2)


def test_marks_are_each_a_yes_and_a_no() -> None:
    expected = float(divergences.labels(P, Q, NONE))
    yes, none = torch.tensor([[math.log(4.0)] * 2]), torch.zeros(1, 2)  # 0.8 and 0.5, twice
    assert divergences.marks(yes, none, NONE).tolist() == pytest.approx([2 * expected])


def test_values_have_a_squared_distance() -> None:
    assert divergences.values(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [1.0]]), NONE).tolist() == [4, 0]


def test_cosines_are_those_of_the_first_two_texts() -> None:
    first = torch.tensor([[1.0, 0.0, 0.0, 2.0, 7.0, 7.0]])
    second = torch.tensor([[1.0, 0.0, 3.0, 0.0, -7.0, 0.0]])
    assert divergences.cosines(first, second, torch.zeros(1, 4)).tolist() == pytest.approx([1.0])


def test_token_labels_are_the_mean_over_those_that_are_learned() -> None:
    first, second = torch.stack([P[0], P[0], Q[0], P[0]])[None], torch.stack([P[0], Q[0], Q[0], Q[0]])[None]
    targets = torch.tensor([[IGNORED, 0, 1, IGNORED]])
    expected = divergences.labels(P, Q, NONE) / 2
    torch.testing.assert_close(divergences.token_labels(first, second, targets), expected)
    slots = torch.tensor([[[IGNORED, 0], [1, IGNORED]]])  # the same with two slots a token
    torch.testing.assert_close(
        divergences.token_labels(first.reshape(1, 2, 4), second.reshape(1, 2, 4), slots), expected
    )
    nothing = torch.full((1, 4), IGNORED)
    assert divergences.token_labels(first, second, nothing).tolist() == [0]


def test_spans_are_compared_among_the_tokens_that_may_be_one() -> None:
    targets = torch.tensor([[IGNORED, START, END, IGNORED]])
    first, second = torch.randn(1, 4, 2), torch.randn(1, 4, 2)
    ends = [divergences.labels(first[:, 1:3, end], second[:, 1:3, end], NONE) for end in (0, 1)]
    torch.testing.assert_close(divergences.spans(first, second, targets), (ends[0] + ends[1]) / 2)


def test_triples_are_the_mean_over_tagged_tokens() -> None:
    first, second = torch.zeros(1, 3, 4), torch.tensor([[[9.0] * 4, [1.0] * 4, [3.0] * 4]])
    targets = torch.tensor([[IGNORED, 0, 2, 0, 1, 1, 2, 1]])  # tags of the tokens, then a pair
    assert divergences.triples(first, second, targets).tolist() == [5.0]


@pytest.mark.parametrize(
    ("divergence", "shape", "targets"),
    [
        (divergences.labels, (4, 3), torch.zeros(4)),
        (divergences.marks, (4, 3), torch.zeros(4, 3)),
        (divergences.values, (4, 1), torch.zeros(4)),
        (divergences.cosines, (4, 6), torch.zeros(4, 3)),
        (divergences.token_labels, (4, 5, 3), torch.tensor([[0, 1, 2, IGNORED, IGNORED]] * 4)),
        (divergences.spans, (4, 5, 2), torch.tensor([[START, END, 0, IGNORED, IGNORED]] * 4)),
        (divergences.triples, (4, 5, 6), torch.tensor([[0, 1, 2, IGNORED, IGNORED]] * 4)),
    ],
)
def test_each_is_of_rows_and_nothing_where_outputs_are_the_same(
    divergence: Divergence, shape: tuple[int, ...], targets: Tensor
) -> None:
    outputs, others = torch.randn(shape).requires_grad_(), torch.randn(shape)
    same, apart = divergence(outputs, outputs, targets), divergence(outputs, others, targets)
    assert same.shape == apart.shape == (4,)
    assert same.abs().max() < 1e-6
    assert (apart > 0).all()
    torch.testing.assert_close(apart[1:3], divergence(outputs[1:3], others[1:3], targets[1:3]))
    apart.sum().backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
