"""Heads of relations: marked mentions, words compared with words, and the loss of both."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tunesmith.heads import IGNORED
from tunesmith.heads.relations import PAIR_COLUMNS, MarkedHead, TripleHead, pair_scores, parts, triple_loss

WIDTH, TAGS, RELATIONS, RANK = 8, 5, 3, 4
OUTPUTS = TAGS + 2 * RELATIONS * (RANK + 1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_marked_pair_is_its_mentions_and_its_text() -> None:
    head = MarkedHead(WIDTH, 2, pooling="mean", dropout=0.0)
    hidden = torch.randn(1, 5, WIDTH)
    features = head.features(hidden, None, torch.tensor([[0, 1, 3, 2, 0]]))
    expected = torch.cat([hidden[0, 1:3].mean(0), hidden[0, 2:4].mean(0), hidden[0].mean(0)])
    torch.testing.assert_close(features[0], expected)
    assert head.classify(features).shape == (1, 2)
    cut = head.features(hidden, None, torch.tensor([[0, 1, 0, 0, 0]]))
    assert not cut[0, WIDTH : 2 * WIDTH].any()


def test_padding_changes_nothing() -> None:
    head = MarkedHead(WIDTH, 2, pooling="mean", dropout=0.0).eval()
    hidden, marks = torch.randn(1, 5, WIDTH), torch.tensor([[0, 1, 0, 2, 0]])
    padded = head.features(
        F.pad(hidden, (0, 0, 0, 3), value=9.0), torch.tensor([[1] * 5 + [0] * 3]), F.pad(marks, (0, 3))
    )
    torch.testing.assert_close(padded, head.features(hidden, None, marks))


def test_outputs_of_words_are_tags_and_vectors() -> None:
    head = TripleHead(WIDTH, TAGS, RELATIONS, rank=RANK, dropout=0.0)
    outputs = head(torch.randn(2, 6, WIDTH), None)
    assert outputs.shape == (2, 6, OUTPUTS)
    tags, heads, tails = parts(outputs, TAGS, RELATIONS)
    assert tags.shape == (2, 6, TAGS)
    assert heads.shape == tails.shape == (2, 6, RELATIONS, RANK + 1)
    as_array = parts(outputs.detach().numpy(), TAGS, RELATIONS)
    for one, other in zip(as_array, (tags, heads, tails), strict=True):
        assert np.array_equal(one, other.detach().numpy())


def test_the_score_of_a_pair_by_hand_and_its_direction() -> None:
    head, tail = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[3.0, -1.0, 0.25]])
    expected = (3.0 - 2.0) / math.sqrt(2) + 0.75
    assert float(pair_scores(head, tail)) == pytest.approx(expected)
    outputs = TripleHead(WIDTH, TAGS, RELATIONS, rank=RANK, dropout=0.0)(torch.randn(1, 2, WIDTH), None)
    _, heads, tails = parts(outputs, TAGS, RELATIONS)
    assert not torch.allclose(pair_scores(heads[0, 0], tails[0, 1]), pair_scores(heads[0, 1], tails[0, 0]))


def slow_loss(outputs: Tensor, tags: list[list[int]], pairs: list[list[list[int]]], weight: float) -> Tensor:
    """Word by word, pair by pair."""
    losses = []
    for row, own, related in zip(outputs, tags, pairs, strict=True):
        named = [place for place, tag in enumerate(own) if tag != IGNORED]
        total = torch.stack([F.cross_entropy(row[place, :TAGS], torch.tensor(own[place])) for place in named]).mean()
        _, heads, tails = parts(row, TAGS, RELATIONS)
        each = []
        for start, end, other_start, other_end, *holds in related:
            head = heads[[place for place in named if start <= place < end]].mean(0)
            tail = tails[[place for place in named if other_start <= place < other_end]].mean(0)
            scores = pair_scores(head, tail)
            each.append(F.binary_cross_entropy_with_logits(scores, torch.tensor(holds).float(), reduction="sum"))
        losses.append(total + weight * torch.stack(each).mean() if each else total)
    return torch.stack(losses)


def test_the_loss_is_that_of_words_and_pairs_one_by_one() -> None:
    outputs = torch.randn(3, 6, OUTPUTS)
    tags = [[IGNORED, 0, 1, IGNORED, 2, 3], [IGNORED, 0, 0, 1, IGNORED, IGNORED], [0, 1, 1, 1, 1, 1]]
    pairs = [[[1, 3, 2, 5, 1, 0, 1], [2, 5, 1, 3, 0, 0, 0]], [], [[0, 1, 5, 6, 0, 1, 0]]]
    padded = torch.full((3, 2, PAIR_COLUMNS + RELATIONS), IGNORED)
    for row, own in enumerate(pairs):
        for place, pair in enumerate(own):
            padded[row, place] = torch.tensor(pair)
    targets = torch.cat([torch.tensor(tags), padded.flatten(1)], dim=1)
    for weight in (1.0, 0.3):
        loss = triple_loss(TAGS, RELATIONS, relation_weight=weight)(outputs, targets)
        torch.testing.assert_close(loss, slow_loss(outputs, tags, pairs, weight))


def test_tags_alone_can_be_fitted() -> None:
    loss, tags = triple_loss(TAGS, RELATIONS), torch.tensor([[1], [2], [0]])
    outputs = torch.randn(3, 1, TAGS)
    torch.testing.assert_close(loss(outputs, tags), F.cross_entropy(outputs[:, 0], tags[:, 0], reduction="none"))


def test_rows_without_pairs_learn_their_tags() -> None:
    outputs = torch.randn(1, 2, OUTPUTS)
    loss = triple_loss(TAGS, RELATIONS)(outputs, torch.tensor([[1, 2]]))
    torch.testing.assert_close(loss[0], F.cross_entropy(outputs[0, :, :TAGS], torch.tensor([1, 2])))


def test_smoothing_and_weight_reach_the_loss() -> None:
    outputs, targets = torch.randn(1, 2, OUTPUTS), torch.tensor([[1, 2]])
    plain, smooth = (triple_loss(TAGS, RELATIONS, label_smoothing=share)(outputs, targets) for share in (0.0, 0.2))
    assert not torch.allclose(plain, smooth)


def test_relations_of_several_words_are_learned() -> None:
    """Which words relate hangs on what both of them are, so only a comparison can tell."""
    torch.manual_seed(0)
    kinds = torch.randint(0, 3, (64, 4))
    hidden = F.one_hot(kinds, WIDTH).float()
    head = TripleHead(WIDTH, TAGS, 1, rank=RANK, dropout=0.0)
    loss = triple_loss(TAGS, 1)
    pairs = torch.tensor([[one, one + 1, other, other + 1] for one in range(4) for other in range(4) if one != other])
    first, second = kinds[:, pairs[:, 0]], kinds[:, pairs[:, 2]]
    holds = ((first == 0) & (second == 1) | (first == 1) & (second == 2)).long()
    columns = torch.cat([pairs.expand(64, -1, -1), holds.unsqueeze(2)], dim=2)
    targets = torch.cat([kinds, columns.flatten(1)], dim=1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss(head(hidden, None), targets).mean().backward()
        optimizer.step()
    _, heads, tails = parts(head(hidden, None), TAGS, 1)
    scores = pair_scores(heads[:, pairs[:, 0]], tails[:, pairs[:, 2]])[..., 0]
    assert ((scores > 0) == holds.bool()).float().mean() > 0.98
