"""Scores equal scikit-learn's and scipy's; intervals cover; paired tests decide; thresholds do not overfit."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

from tunesmith import metrics
from tunesmith.errors import UsageError
from tunesmith.metrics import Predictions


def multi_class(rows: int = 400, labels: int = 5, skill: float = 1.5, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    targets = random.integers(0, labels, rows)
    logits = np.random.default_rng([seed, labels]).normal(size=(rows, labels)) + skill * np.eye(labels)[targets]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return predictions("multi-class", labels, targets, scores, scores.argmax(axis=1))


def multi_label(rows: int = 300, labels: int = 6, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    targets = (random.random((rows, labels)) < 0.25).astype(int)
    scores = np.round(1 / (1 + np.exp(-(2 * targets - 1 + random.normal(size=(rows, labels))))), 2)
    return predictions("multi-label", labels, targets, scores, (scores >= 0.5).astype(int))


def regression(rows: int = 300, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    targets = np.round(random.uniform(0, 5, rows), 1)
    values = np.round(targets + random.normal(size=rows), 1)
    return predictions("regression", 0, targets, values, values)


def predictions(kind, labels, targets, scores, predicted) -> Predictions:
    names = tuple(f"label {number}" for number in range(labels))
    texts = [f"text {row}" for row in range(len(targets))]
    return Predictions(kind, names, targets, scores, predicted, texts, np.arange(len(targets)) % 40 + 3)


@pytest.mark.parametrize("labels", [2, 3, 9])
def test_multi_class_scores_are_those_of_sklearn(labels):
    p = multi_class(labels=labels)
    y, z, s = p.targets, p.predicted, p.scores
    every = {"labels": np.arange(labels), "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(y, z),
        **{f"f1_{average}": sk.f1_score(y, z, average=average, **every) for average in ("weighted", "macro", "micro")},
        **{f"precision_{a}": sk.precision_score(y, z, average=a, **every) for a in ("macro", "weighted")},
        **{f"recall_{a}": sk.recall_score(y, z, average=a, **every) for a in ("macro", "weighted")},
        "mcc": sk.matthews_corrcoef(y, z),
        "log_loss": sk.log_loss(y, s),
        "roc_auc": sk.roc_auc_score(y, s[:, 1] if labels == 2 else s, multi_class="ovr", average="macro"),
    }
    if labels == 2:
        expected |= {"f1": sk.f1_score(y, z), "precision": sk.precision_score(y, z), "recall": sk.recall_score(y, z)}
    found = metrics.score(p)
    assert set(found) == {*expected, "expected_calibration_error"}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_multi_label_scores_are_those_of_sklearn():
    p = multi_label()
    y, z, s = p.targets, p.predicted, p.scores
    averages = ("micro", "macro", "weighted", "samples")
    expected = {
        **{f"f1_{average}": sk.f1_score(y, z, average=average, zero_division=0) for average in averages},
        **{f"precision_{a}": sk.precision_score(y, z, average=a, zero_division=0) for a in ("macro", "weighted")},
        **{f"recall_{a}": sk.recall_score(y, z, average=a, zero_division=0) for a in ("macro", "weighted")},
        "subset_accuracy": sk.accuracy_score(y, z),
        "hamming_loss": sk.hamming_loss(y, z),
        "roc_auc": sk.roc_auc_score(y, s, average="macro"),
        "average_precision_macro": sk.average_precision_score(y, s, average="macro"),
        "lrap": sk.label_ranking_average_precision_score(y, s),
    }
    found = metrics.score(p)
    assert set(found) == {*expected, "expected_calibration_error"}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_regression_scores_are_those_of_scipy_and_sklearn():
    p = regression()
    assert metrics.score(p) == pytest.approx(
        {
            "spearman": scipy.stats.spearmanr(p.targets, p.predicted).statistic,
            "pearson": scipy.stats.pearsonr(p.targets, p.predicted).statistic,
            "rmse": sk.root_mean_squared_error(p.targets, p.predicted),
            "mae": sk.mean_absolute_error(p.targets, p.predicted),
            "r2": sk.r2_score(p.targets, p.predicted),
        },
        abs=1e-12,
    )


def test_calibration_error_of_a_known_case():
    scores = np.array([[0.9, 0.1]] * 10)
    p = predictions("multi-class", 2, np.array([0] * 6 + [1] * 4), scores, np.zeros(10, int))
    assert metrics.score(p)["expected_calibration_error"] == pytest.approx(0.3)
    (only,) = metrics.calibration_bins(p)
    assert (only.rows, only.confidence, only.accuracy) == (10, pytest.approx(0.9), pytest.approx(0.6))


def test_undefined_scores_are_left_out_and_warn_nobody():
    one_label = predictions("multi-class", 3, np.zeros(5, int), np.full((5, 3), 1 / 3), np.zeros(5, int))
    found = metrics.score(one_label)
    assert "roc_auc" not in found
    assert found["mcc"] == 0
    assert found["accuracy"] == 1
    assert found["f1_macro"] == pytest.approx(1 / 3), "labels that no row has count as 0, as sklearn does with labels="
    constant = predictions("regression", 0, np.ones(4), np.arange(4.0), np.arange(4.0))
    assert set(metrics.score(constant)) == {"rmse", "mae"}
    nothing = predictions("multi-label", 2, np.zeros((3, 2)), np.full((3, 2), 0.1), np.zeros((3, 2)))
    assert metrics.score(nothing)["f1_samples"] == sk.f1_score(
        nothing.targets, nothing.predicted, average="samples", zero_division=0
    )
    assert "roc_auc" not in metrics.intervals(one_label, resamples=20)


@pytest.mark.parametrize("make", [multi_class, multi_label, regression])
def test_a_bootstrap_draw_is_the_score_of_the_resampled_rows(make):
    """The weighted formulas must give what repeating the rows gives, ties and all."""
    from tunesmith.metrics.registry import METRICS
    from tunesmith.metrics.sample import Sample

    p = make(rows=120)
    chosen = np.random.default_rng(3).integers(0, 120, 120)
    weights = np.bincount(chosen, minlength=120)[None].astype(float)
    repeated = metrics.score(p.take(chosen))
    for name in metrics.names(p.kind, len(p.labels)):
        assert METRICS[p.kind, name].formula(Sample(p, weights))[0] == pytest.approx(repeated[name], abs=1e-9), name


def test_intervals_agree_with_theory_and_are_repeatable():
    p = multi_class(rows=2000)
    (low, high) = metrics.intervals(p, ["accuracy"], seed=1)["accuracy"]
    accuracy = metrics.score(p)["accuracy"]
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 2000)
    assert low == pytest.approx(accuracy - half, abs=0.004)
    assert high == pytest.approx(accuracy + half, abs=0.004)
    assert metrics.intervals(p, ["accuracy"], seed=1)["accuracy"] == (low, high)
    narrow = metrics.intervals(p, ["accuracy"], seed=1, confidence=0.5)["accuracy"]
    assert low < narrow[0] < narrow[1] < high
    assert metrics.intervals(p, ["accuracy"], seed=2)["accuracy"] != (low, high)


def test_a_rare_label_that_a_draw_misses_does_not_count_as_zero():
    p = predictions("multi-class", 2, np.array([0] * 199 + [1]), np.eye(2)[[0] * 199 + [1]], np.array([0] * 199 + [1]))
    assert metrics.intervals(p, ["f1_macro"])["f1_macro"] == (1.0, 1.0)


def test_intervals_are_fast_for_many_rows_and_labels():
    p = multi_class(rows=10_000, labels=77)
    started = time.perf_counter()
    found = metrics.intervals(p, ["f1_macro", "f1_weighted", "accuracy"])
    assert time.perf_counter() - started < 5, "1000 calls of sklearn would take minutes"
    assert all(low < metrics.score(p)[name] < high for name, (low, high) in found.items())


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'f1_macro'"):
        metrics.intervals(multi_class(), ["f1_marco"])
    with pytest.raises(UsageError, match="not a metric of regression"):
        metrics.intervals(regression(), ["accuracy"])
    with pytest.raises(UsageError, match="unknown metric"):
        metrics.higher_is_better("fun")


def test_direction_of_metrics():
    lower = {"log_loss", "expected_calibration_error", "hamming_loss", "rmse", "mae"}
    every = {name for kind in ("multi-class", "multi-label", "regression") for name in metrics.names(kind)}
    assert {name for name in every if not metrics.higher_is_better(name)} == lower


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "roc_auc"])
def test_paired_test_tells_a_better_model_from_an_equal_one(name):
    weak, strong = multi_class(rows=800, skill=1.0), multi_class(rows=800, skill=2.5)
    result = metrics.paired_test(weak, strong, name)
    assert result.difference == pytest.approx(metrics.score(strong)[name] - metrics.score(weak)[name])
    assert result.p_value < 0.01
    assert 0 < result.interval[0] < result.difference < result.interval[1]
    same = metrics.paired_test(weak, weak, name)
    assert same.p_value == 1
    assert same.interval == (0, 0)


def test_paired_test_of_chance_differences_is_uniform():
    """Two equally good models: about one in ten tests says p < 0.1."""
    values = []
    for seed in range(60):
        a, b = multi_class(rows=100, labels=3, seed=seed), multi_class(rows=100, labels=3, seed=seed)
        random = np.random.default_rng(seed)
        swap = random.random(100) < 0.5
        noisy = np.where(random.random(100) < 0.3, random.integers(0, 3, 100), a.predicted)
        one = Predictions(a.kind, a.labels, a.targets, a.scores, np.where(swap, a.predicted, noisy), a.texts, a.lengths)
        two = Predictions(b.kind, b.labels, b.targets, b.scores, np.where(swap, noisy, a.predicted), b.texts, b.lengths)
        values.append(metrics.paired_test(one, two, "accuracy", resamples=200).p_value)
    assert np.mean(np.array(values) < 0.1) < 0.25
    assert np.mean(values) > 0.35


def test_paired_test_refuses_other_rows():
    with pytest.raises(ValueError, match="same rows"):
        metrics.paired_test(multi_class(seed=1), multi_class(seed=2), "accuracy")


def test_classification_report_is_the_text_of_sklearn():
    p = multi_class()
    assert metrics.classification_report(p) == sk.classification_report(
        p.targets, p.predicted, target_names=p.labels, digits=4
    )
    q = multi_label()
    assert metrics.classification_report(q, digits=2) == sk.classification_report(
        q.targets, q.predicted, target_names=q.labels, zero_division=0
    )


def test_classification_report_lists_absent_labels():
    p = predictions("multi-class", 3, np.array([0, 1]), np.eye(3)[[0, 1]], np.array([0, 1]))
    assert "label 2     0.0000    0.0000    0.0000         0" in metrics.classification_report(p)


def test_regression_report_is_aligned():
    lines = [line for line in metrics.classification_report(regression()).splitlines() if line]
    assert len({len(line) for line in lines}) == 1
    assert lines[-1].split() == ["support", "300"]


def test_label_table_and_confusions_count_what_sklearn_counts():
    p = multi_class()
    precision, recall, f1, support = sk.precision_recall_fscore_support(p.targets, p.predicted)
    table = metrics.label_table(p)
    assert [row.precision for row in table] == pytest.approx(precision)
    assert [row.recall for row in table] == pytest.approx(recall)
    assert [row.f1 for row in table] == pytest.approx(f1)
    assert [row.support for row in table] == list(support)
    matrix = sk.confusion_matrix(p.targets, p.predicted)
    np.fill_diagonal(matrix, 0)
    found = metrics.confusions(p, most=3)
    assert [confusion.rows for confusion in found] == sorted(matrix.ravel(), reverse=True)[:3]
    first = found[0]
    assert matrix[p.labels.index(first.target), p.labels.index(first.predicted)] == first.rows


def test_thresholds_beat_one_half_and_rare_labels_keep_to_the_common_one():
    random = np.random.default_rng(0)

    def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
        targets = (random.random((count, 4)) < [0.2, 0.1, 0.1, 0.004]).astype(int)
        logits = 3 * targets + random.normal(size=targets.shape) * 1.3 - 3
        return 1 / (1 + np.exp(-logits)), targets

    scores, targets = rows(1000)
    thresholds = metrics.tune_thresholds(scores, targets)
    new_scores, new_targets = rows(5000)
    tuned = sk.f1_score(new_targets, new_scores >= thresholds, average="macro")
    half = sk.f1_score(new_targets, new_scores >= 0.5, average="macro")
    assert tuned > half + 0.03
    own, shrunk = (metrics.tune_thresholds(scores, targets, prior) for prior in (0, 1000))
    common = np.median(shrunk)
    assert abs(thresholds[3] - common) < max(abs(own[3] - common), 0.05)
    assert list(metrics.tune_thresholds(scores, np.zeros_like(targets))) == [0.5] * 4


def test_fingerprint_tells_rows_apart():
    one = metrics.fingerprint(multi_class())
    assert one == metrics.fingerprint(multi_class(skill=9)), "what was predicted does not matter"
    assert one != metrics.fingerprint(multi_class(seed=1))
    assert one != metrics.fingerprint(multi_class(rows=399))


@pytest.mark.parametrize("change", [{"scores": np.zeros((3, 3))}, {"targets": []}, {"texts": ["one"]}])
def test_misshapen_predictions_are_refused(change):
    good = {"targets": np.zeros(3, int), "scores": np.full((3, 2), 0.5), "predicted": np.zeros(3, int)}
    values = {"kind": "multi-class", "labels": ("a", "b"), **good, "texts": ["x"] * 3, "lengths": [1] * 3, **change}
    with pytest.raises(ValueError):
        Predictions(**values)
