"""Heads and losses against plain formulas and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor
from torch.nn import functional as F

from tunesmith import heads
from tunesmith.heads import Pooling, TextHead

MODES = ("mean", "cls", "max", "attention", "last")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("mode", MODES)
def test_padding_changes_nothing(mode: str) -> None:
    pooling = Pooling(mode, 5)
    alone, other = noise(1, 3, 5), noise(1, 6, 5, seed=1)
    padded = torch.cat([F.pad(alone, (0, 0, 0, 3), value=100.0), other])
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1] * 6])
    together = pooling(padded, mask)
    torch.testing.assert_close(together[:1], pooling(alone, None))
    torch.testing.assert_close(together[1:], pooling(other, None))
    torch.testing.assert_close(pooling(alone, torch.ones(1, 3)), pooling(alone, None))


def test_poolings_are_what_they_say() -> None:
    hidden, mask = noise(2, 4, 3), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    whole, half = hidden[0], hidden[1, :2]
    for mode, first, second in (
        ("mean", whole.mean(0), half.mean(0)),
        ("cls", whole[0], half[0]),
        ("max", whole.amax(0), half.amax(0)),
        ("last", whole[3], half[1]),
    ):
        torch.testing.assert_close(Pooling(mode, 3)(hidden, mask), torch.stack([first, second]))


def test_attention_pooling_weighs_tokens_by_a_query() -> None:
    pooling, hidden = Pooling("attention", 3), noise(1, 4, 3)
    assert pooling.query is not None
    weights = pooling.query(hidden[0]).softmax(0)
    torch.testing.assert_close(pooling(hidden, None)[0], (weights * hidden[0]).sum(0))


def test_pooling_is_exact_for_half_precision_states() -> None:
    hidden = noise(1, 300, 4).bfloat16()
    assert Pooling("mean", 4)(hidden, None).dtype == torch.float32
    torch.testing.assert_close(Pooling("mean", 4)(hidden, None)[0], hidden[0].float().mean(0))


def test_head_is_pooling_then_linear() -> None:
    head = TextHead(4, 3, pooling="mean", dropout=0.5).eval()
    hidden = noise(2, 5, 4)
    torch.testing.assert_close(head(hidden, None), head.linear(hidden.mean(1)))
    assert not torch.equal(head.train()(hidden, None), head(hidden, None))


def test_pairs_are_compared_in_either_order() -> None:
    head = TextHead(4, 1, pooling="mean", dropout=0, pair=True)
    first, second = noise(2, 5, 4), noise(2, 5, 4, seed=1)
    features = head.features(torch.cat([first, second]), None)
    assert features.shape == (2, 9)
    torch.testing.assert_close(features, head.features(torch.cat([second, first]), None))
    torch.testing.assert_close(features[:, 8], F.cosine_similarity(first.mean(1), second.mean(1), dim=1))
    same = head.features(torch.cat([first, first]), None)
    torch.testing.assert_close(same[:, :4], torch.zeros(2, 4))
    torch.testing.assert_close(same[:, 8], torch.ones(2))


# losses

LOGITS, CLASSES = noise(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
YES = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
WEIGHTS = torch.tensor([0.5, 1.0, 4.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(smoothing: float) -> None:
    log_p = LOGITS.log_softmax(1)
    expected = -(1 - smoothing) * log_p[range(6), CLASSES] - smoothing * log_p.mean(1)
    torch.testing.assert_close(heads.cross_entropy(label_smoothing=smoothing)(LOGITS, CLASSES), expected)
    weighted = heads.cross_entropy(WEIGHTS, label_smoothing=smoothing)(LOGITS, CLASSES)
    torch.testing.assert_close(weighted, expected * WEIGHTS[CLASSES])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal(gamma: float) -> None:
    p = LOGITS.softmax(1)[range(6), CLASSES]
    expected = (1 - p) ** gamma * -p.log()
    torch.testing.assert_close(heads.focal(gamma=gamma)(LOGITS, CLASSES), expected)
    torch.testing.assert_close(heads.focal(WEIGHTS, gamma=gamma)(LOGITS, CLASSES), expected * WEIGHTS[CLASSES])


def test_focal_without_gamma_is_cross_entropy() -> None:
    torch.testing.assert_close(
        heads.focal(WEIGHTS, gamma=0)(LOGITS, CLASSES), heads.cross_entropy(WEIGHTS)(LOGITS, CLASSES)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary(gamma: float, smoothing: float) -> None:
    p, y = LOGITS.sigmoid(), YES * (1 - smoothing) + smoothing / 2
    for weights in (None, WEIGHTS):
        cells = -(y * (1 if weights is None else weights) * p.log() + (1 - y) * (1 - p).log())
        expected = (cells * torch.where(YES == 1, 1 - p, p) ** gamma).sum(1)
        loss = heads.binary(weights, gamma=gamma, label_smoothing=smoothing)
        torch.testing.assert_close(loss(LOGITS, YES), expected)


def test_squared() -> None:
    values = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(heads.squared()(torch.tensor([[3.0], [0.0]]), values), torch.tensor([4.0, 4.0]))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [1e-9, 30.0, 200.0])
def test_focal_losses_have_finite_slopes_however_sure_the_model_is(gamma: float, size: float) -> None:
    for loss, targets in ((heads.focal(gamma=gamma), CLASSES), (heads.binary(gamma=gamma), YES)):
        logits = (LOGITS.sign() * size).requires_grad_()
        rows = loss(logits, targets)
        rows.sum().backward()  # type: ignore[no-untyped-call]
        assert rows.isfinite().all()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (heads.cross_entropy(WEIGHTS, label_smoothing=0.1), CLASSES),
        (heads.focal(WEIGHTS), CLASSES),
        (heads.binary(WEIGHTS, gamma=2.0), YES),
    ],
)
def test_a_rows_loss_does_not_depend_on_its_neighbours(loss: heads.RowLoss, targets: Tensor) -> None:
    whole = loss(LOGITS, targets)
    assert whole.shape == (6,)
    torch.testing.assert_close(torch.cat([loss(LOGITS[:2], targets[:2]), loss(LOGITS[2:], targets[2:])]), whole)


# fitting the last layer


def scaled(features: Tensor) -> np.ndarray:
    values = features.double().numpy()
    return (values - values.mean(0)) / values.std(0).mean()


def blobs(rows: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(rows) % classes
    features = noise(rows, width) * torch.linspace(0.1, 9, width) + noise(classes, width, seed=1)[labels] * 3
    return features, labels


def fitted(features: Tensor, targets: Tensor, loss: heads.RowLoss, outputs: int, l2: float) -> np.ndarray:
    head = TextHead(features.shape[1], outputs, pooling="cls", dropout=0.5).eval()
    heads.fit_linear(head.linear, features, targets, loss, l2=l2, iterations=2000)
    with torch.no_grad():
        return head.classify(features).double().numpy()


@pytest.mark.parametrize("l2", [1e-3, 0.1])
def test_fit_is_the_optimum_of_logistic_regression(l2: float) -> None:
    features, labels = blobs(120, 4, 3)
    outputs = fitted(features, labels, heads.cross_entropy(), 3, l2)
    reference = LogisticRegression(C=1 / (2 * l2 * len(labels)), tol=1e-9, max_iter=5000)
    expected = reference.fit(scaled(features), labels).predict_proba(scaled(features))
    np.testing.assert_allclose(torch.from_numpy(outputs).softmax(1), expected, atol=2e-3)


@pytest.mark.parametrize("l2", [1e-3, 0.5])
def test_fit_is_the_optimum_of_ridge_regression(l2: float) -> None:
    features, _ = blobs(60, 4, 2)
    values = (features @ torch.tensor([1.0, -2.0, 0.0, 0.5]) + noise(60, seed=3)) / 10
    outputs = fitted(features, values, heads.squared(), 1, l2)
    expected = Ridge(alpha=l2 * 60).fit(scaled(features), values.numpy()).predict(scaled(features))
    np.testing.assert_allclose(outputs[:, 0], expected, atol=2e-3)


def test_fit_is_the_optimum_of_one_classifier_a_label() -> None:
    features, labels = blobs(80, 3, 2)
    targets = torch.stack([labels, (noise(80, seed=4) > 0).long()], 1)
    outputs = fitted(features, targets, heads.binary(), 2, 0.01)
    for column in range(2):
        reference = LogisticRegression(C=1 / (2 * 0.01 * 80), tol=1e-9, max_iter=5000)
        expected = reference.fit(scaled(features), targets[:, column]).decision_function(scaled(features))
        np.testing.assert_allclose(outputs[:, column], expected, atol=5e-3)


def test_fit_depends_on_nothing_random() -> None:
    features, labels = blobs(60, 4, 3)
    torch.manual_seed(1)
    once = fitted(features, labels, heads.cross_entropy(), 3, 1e-3)
    torch.manual_seed(2)
    assert (fitted(features, labels, heads.cross_entropy(), 3, 1e-3) == once).all()


@pytest.mark.parametrize("features", [torch.ones(1, 4), torch.ones(5, 4)])
def test_fit_survives_features_that_do_not_vary(features: Tensor) -> None:
    labels = torch.arange(len(features)) % 2
    outputs = fitted(features, labels, heads.cross_entropy(), 2, 1e-3)
    assert np.isfinite(outputs).all()
    share = float(labels.double().mean())
    if 0 < share < 1:
        np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], math.log(share / (1 - share)), atol=1e-3)
