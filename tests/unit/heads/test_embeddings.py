"""Embeddings and their losses: against definitions in loops, and what must not be taken for a negative."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tunesmith.heads import StepLoss
from tunesmith.heads import embeddings as heads
from tunesmith.heads.embeddings import EmbeddingHead

WIDTH, TOKENS = 6, 4


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def outputs_of(rows: int, parts: int = 2) -> Tensor:
    return torch.randn(rows, parts * WIDTH)


def targets_of(alike: list[float], *numbers: list[int]) -> Tensor:
    return torch.tensor([alike, *numbers], dtype=torch.float64).T


def cosine(first: Tensor, second: Tensor) -> float:
    first, second = first.detach(), second.detach()
    return float(first @ second / first.norm() / second.norm())


def texts(outputs: Tensor, parts: int = 2) -> list[list[Tensor]]:
    return [list(row.chunk(parts)) for row in outputs]


# the head


def test_a_rows_texts_lie_one_after_the_other() -> None:
    head = EmbeddingHead(WIDTH, pooling="mean", dropout=0.0)
    hidden = torch.randn(6, TOKENS, WIDTH)
    outputs = head.classify(head.features(hidden, None, torch.arange(3)))
    assert outputs.shape == (2, 3 * WIDTH)
    for row, part in ((0, 0), (0, 2), (1, 1)):
        torch.testing.assert_close(outputs[row].chunk(3)[part], hidden[2 * part + row].mean(0))
    torch.testing.assert_close(head(hidden, None), hidden.mean(1))


def test_padding_changes_no_embedding() -> None:
    head = EmbeddingHead(WIDTH, 4, pooling="mean", dropout=0.0)
    hidden = torch.randn(1, TOKENS, WIDTH)
    padded = torch.cat([hidden, torch.full((1, 2, WIDTH), 9.0)], 1)
    mask = torch.tensor([[1] * TOKENS + [0] * 2])
    torch.testing.assert_close(head(padded, mask), head(hidden, None))


def test_an_untrained_head_leaves_the_base_models_cosines() -> None:
    hidden = torch.randn(2, TOKENS, WIDTH)
    pooled = hidden.mean(1)
    plain = EmbeddingHead(WIDTH, pooling="mean", dropout=0.5).eval()
    assert not list(plain.parameters())
    assert plain.linear is None
    assert cosine(*plain(hidden, None)) == pytest.approx(cosine(*pooled), abs=1e-6)
    turned = EmbeddingHead(WIDTH, WIDTH, pooling="mean", dropout=0.5).eval()
    assert cosine(*turned(hidden, None)) == pytest.approx(cosine(*pooled), abs=1e-5)


def test_dimensions_are_those_asked_for() -> None:
    head = EmbeddingHead(WIDTH, 3, pooling="cls", dropout=0.0)
    assert head.dimensions == 3
    assert head.classify(head.features(torch.randn(4, TOKENS, WIDTH), None, torch.arange(2))).shape == (2, 6)
    assert EmbeddingHead(WIDTH, pooling="cls", dropout=0.0).dimensions == WIDTH


def test_the_layout_is_that_of_sentence_transformers() -> None:
    head = EmbeddingHead(WIDTH, 3, pooling="mean", dropout=0.0)
    assert [layer.kind for layer in head.layout()] == ["Pooling", "Dense", "Normalize"]
    dense = head.layout()[1]
    assert dense.settings["bias"] is False
    assert {name: tuple(weight.shape) for name, weight in dense.weights.items()} == {"linear.weight": (3, WIDTH)}
    plain = EmbeddingHead(WIDTH, pooling="max", dropout=0.0).layout()
    assert [layer.kind for layer in plain] == ["Pooling", "Normalize"]
    assert [name for name, on in plain[0].settings.items() if on is True] == ["pooling_mode_max_tokens"]
    assert EmbeddingHead(WIDTH, pooling="attention", dropout=0.0).layout() == []


# losses by their definitions


def test_cosine_is_the_squared_error() -> None:
    outputs, alike = outputs_of(4), [0.0, 0.3, 0.8, 1.0]
    expected = [(cosine(*pair) - score) ** 2 for pair, score in zip(texts(outputs), alike, strict=True)]
    losses = heads.cosine()(outputs, targets_of(alike, [0, 1, 2, 3], [4, 5, 6, 7]))
    torch.testing.assert_close(losses, torch.tensor(expected))


def test_ranking_compares_every_two_pairs() -> None:
    outputs, alike = outputs_of(5), [0.2, 0.9, 0.2, 0.5, 0.0]
    cosines = [cosine(*pair) for pair in texts(outputs)]
    total = 1.0
    for more in range(5):
        for less in range(5):
            if alike[more] > alike[less]:
                total += math.exp((cosines[less] - cosines[more]) / 0.1)
    losses = heads.ranking(0.1)(outputs, targets_of(alike, [0] * 5, [1] * 5))
    torch.testing.assert_close(losses, torch.full((5,), math.log(total)))


def test_ranking_of_equal_pairs_is_nothing() -> None:
    outputs = outputs_of(3).requires_grad_()
    losses = heads.ranking()(outputs, targets_of([0.5] * 3, [0] * 3, [1] * 3))
    assert losses.tolist() == [0.0] * 3
    losses.sum().backward()
    assert not outputs.grad.any()


def in_batch_by_hand(outputs: Tensor, targets: Tensor, temperature: float) -> list[float]:
    """Loss of each row as the docstring says it, text by text."""
    parts = targets.shape[1] - 1
    rows, numbers = texts(outputs, parts), targets[:, 1:].tolist()
    alike = [value > 0.5 for value in targets[:, 0].tolist()]
    partners = {frozenset(row[:2]) for row, holds in zip(numbers, alike, strict=True) if holds}

    def one_way(row: int, asks: int) -> float:
        others = range(1, parts) if asks == 0 else range(1)
        total = own = math.exp(cosine(*rows[row][:2]) / temperature)
        for other in range(len(rows)):
            for part in others:
                if (other, part) == (row, 1 - asks):
                    continue
                asking, number = numbers[row][asks], numbers[other][part]
                if number >= 0 and number != asking and frozenset((asking, number)) not in partners:
                    total += math.exp(cosine(rows[row][asks], rows[other][part]) / temperature)
        return -math.log(own / total)

    return [(one_way(row, 0) + one_way(row, 1)) / 2 if alike[row] else 0.0 for row in range(len(rows))]


CASES = {
    "all different": ([1.0] * 4, [0, 1, 2, 3], [4, 5, 6, 7]),
    "the same pair twice": ([1.0] * 4, [0, 0, 2, 3], [4, 4, 6, 7]),
    "one text with two partners": ([1.0] * 4, [0, 0, 2, 3], [4, 5, 6, 7]),
    "one partner of two texts": ([1.0] * 4, [0, 1, 2, 3], [4, 4, 6, 7]),
    "a pair turned round": ([1.0] * 4, [0, 4, 2, 3], [4, 0, 6, 7]),
    "some are not alike": ([1.0, 0.0, 1.0, 0.0], [0, 0, 2, 3], [4, 5, 6, 7]),
    "hard negatives": ([1.0] * 4, [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]),
    "too few hard negatives": ([1.0] * 4, [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, -1, 10], [11, -1, -1, -1]),
    "hard negatives that are none": ([1.0] * 4, [0, 0, 2, 3], [4, 5, 6, 7], [5, 4, 2, 0]),
}


@pytest.mark.parametrize("case", CASES)
def test_in_batch_tells_the_pair_from_all_others(case: str) -> None:
    targets = targets_of(*CASES[case])
    outputs = outputs_of(4, targets.shape[1] - 1)
    losses = heads.in_batch(0.2)(outputs, targets)
    torch.testing.assert_close(losses, torch.tensor(in_batch_by_hand(outputs, targets, 0.2)))


def test_doubles_are_no_negatives() -> None:
    """A row that comes twice leaves the loss of both as it was of one."""
    outputs, targets = outputs_of(1), targets_of([1.0], [0], [1])
    twice = heads.in_batch()(outputs.repeat(2, 1), targets.repeat(2, 1))
    assert twice.tolist() == heads.in_batch()(outputs, targets).tolist() * 2 == [0.0, 0.0]


def test_a_pair_that_is_not_alike_is_a_negative_of_its_own_text() -> None:
    outputs = outputs_of(2)
    outputs[1, :WIDTH] = outputs[0, :WIDTH]
    wrong = heads.in_batch(0.5)(outputs, targets_of([1.0, 0.0], [0, 0], [1, 2]))
    right = heads.in_batch(0.5)(outputs, targets_of([1.0, 1.0], [0, 0], [1, 2]))
    assert wrong[0] > right[0]
    assert wrong[1] == 0


def test_what_fills_a_missing_negative_has_no_gradient() -> None:
    outputs = outputs_of(3, 3).requires_grad_()
    heads.in_batch()(outputs, targets_of([1.0] * 3, [0, 1, 2], [3, 4, 5], [6, -1, 7])).sum().backward()
    gradients = outputs.grad.unflatten(1, (3, WIDTH))[:, 2]
    assert gradients[0].any()
    assert not gradients[1].any()


LOSSES: dict[str, Callable[[], Callable[[Tensor, Tensor], Tensor]]] = {
    "cosine": heads.cosine,
    "ranking": heads.ranking,
    "in-batch": heads.in_batch,
    "matryoshka": lambda: heads.matryoshka(heads.in_batch(), (2, 4)),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def example() -> tuple[Tensor, Tensor]:
    return outputs_of(6), targets_of([1.0, 0.0, 1.0, 1.0, 0.0, 1.0], [0, 1, 2, 2, 4, 5], [6, 7, 8, 9, 10, 6])


@every_loss
def test_the_order_of_the_rows_changes_nothing(name: str) -> None:
    outputs, targets = example()
    order = torch.randperm(6)
    loss = LOSSES[name]()
    torch.testing.assert_close(loss(outputs[order], targets[order]), loss(outputs, targets)[order])


@every_loss
def test_lengths_of_embeddings_change_nothing(name: str) -> None:
    outputs, targets = example()
    if name == "matryoshka":
        scaled = outputs * 7
    else:
        scaled = (outputs.unflatten(1, (2, WIDTH)) * torch.rand(6, 2, 1).add(0.5)).flatten(1)
    torch.testing.assert_close(LOSSES[name]()(scaled, targets), LOSSES[name]()(outputs, targets))


@every_loss
def test_learning_by_a_loss_sorts_the_pairs(name: str) -> None:
    outputs, targets = example()
    outputs.requires_grad_()
    optimizer = torch.optim.Adam([outputs], lr=0.1)
    for _ in range(60):
        loss = LOSSES[name]()(outputs, targets)
        assert loss.shape == (6,)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    near = [cosine(*pair) for pair in texts(outputs.detach())]
    alike = targets[:, 0].tolist()
    if name in ("cosine", "ranking"):
        assert min(c for c, a in zip(near, alike, strict=True) if a) > max(
            c for c, a in zip(near, alike, strict=True) if not a
        )
    assert sum(c for c, a in zip(near, alike, strict=True) if a) > 3


def test_matryoshka_is_the_mean_over_sizes() -> None:
    outputs, targets = example()
    whole = outputs.unflatten(1, (2, WIDTH))
    expected = [heads.cosine()(whole[:, :, :size].flatten(1), targets) for size in (WIDTH, 2, 4)]
    torch.testing.assert_close(heads.matryoshka(heads.cosine(), (2, 4))(outputs, targets), sum(expected) / 3)


def test_losses_that_compare_rows_say_so() -> None:
    said = {name: isinstance(make(), StepLoss) for name, make in LOSSES.items()}
    assert said == {"cosine": False, "ranking": True, "in-batch": True, "matryoshka": True}
    assert not isinstance(heads.matryoshka(heads.cosine(), (2,)), StepLoss)
