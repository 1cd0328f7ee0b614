"""Text classification: what is read from a row, what is learned from the rows, what is answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from sequences import Sequences, scored
from tunesmith import metrics
from tunesmith.decisions.decision import Decision
from tunesmith.errors import UsageError
from tunesmith.heads import TextHead
from tunesmith.tasks.base import RowError, Target
from tunesmith.tasks.text_classification import Params, Request, Task

MULTI_CLASS = Target("multi-class", ("bad", "fine", "good"), (10, 30, 60))
MULTI_LABEL = Target("multi-label", ("a", "b", "c"), (5, 5, 10), thresholds=(0.2, 0.5, 0.9))
REGRESSION = Target("regression", ("value",), scale=(3.0, 2.0))


def task(**options: Any) -> Task:
    return Task(Params(**options))


def table(labels: list[list[str]], of: Task) -> pa.Table:
    rows = [{"text": f"text {n}", "text_pair": None, "label": label, "group": None} for n, label in enumerate(labels)]
    return pa.Table.from_pylist(rows, schema=of.schema())


# rows


def test_a_row_becomes_canonical() -> None:
    row = task().read_row({"text": "fine", "label": "good", "group": 7})
    assert row == {"text": "fine", "text_pair": None, "label": ["good"], "group": "7"}
    assert pa.Table.from_pylist([row], schema=task().schema()).num_rows == 1
    assert task().read_row({"text": 5, "text_pair": "b", "label": 1.0})["text_pair"] == "b"


@pytest.mark.parametrize(
    ("cell", "separator", "names"),
    [
        ("good", None, ["good"]),
        (" good ", None, [" good "]),
        (1.0, None, ["1"]),
        (0, None, ["0"]),
        (0.25, None, ["0.25"]),
        (True, None, ["True"]),
        (["a", "b", "a"], None, ["a", "b"]),
        ([], None, []),
        ("a; b;;a", ";", ["a", "b"]),
        ("", ";", []),
        (None, ";", []),
        ("a b", None, ["a b"]),
    ],
)
def test_label_cells(cell: Any, separator: str | None, names: list[str]) -> None:
    assert task().read_row({"text": "x", "label": cell}, label_separator=separator)["label"] == names


@pytest.mark.parametrize(
    ("options", "row", "column", "message"),
    [
        ({}, {"label": "a"}, "text", "is missing"),
        ({}, {"text": None, "label": "a"}, "text", "is missing"),
        ({}, {"text": " \n", "label": "a"}, "text", "is blank"),
        ({}, {"text": ["a"], "label": "a"}, "text", "is a list, not text"),
        ({}, {"text": "x", "text_pair": "", "label": "a"}, "text_pair", "is blank"),
        ({}, {"text": "x", "label": None}, "label", "is missing"),
        ({}, {"text": "x"}, "label", "is missing"),
        ({}, {"text": "x", "label": "  "}, "label", "is missing"),
        ({}, {"text": "x", "label": float("nan")}, "label", "is missing"),
        ({"kind": "multi-class"}, {"text": "x", "label": []}, "label", "is missing"),
        ({"kind": "multi-class"}, {"text": "x", "label": ["a", "b"]}, "label", "holds several labels"),
        ({"kind": "regression"}, {"text": "x", "label": ["1", "2"]}, "label", "holds several labels"),
        ({"kind": "regression"}, {"text": "x", "label": "much"}, "label", "is not a number"),
        ({"kind": "regression"}, {"text": "x", "label": "inf"}, "label", "is not a number"),
    ],
)
def test_rows_that_cannot_be_used(options: dict, row: dict, column: str, message: str) -> None:
    with pytest.raises(RowError, match=f"^{message}") as caught:
        task(**options).read_row(row)
    assert caught.value.column == column


@pytest.mark.parametrize("kind", ["auto", "multi-class", "multi-label", "regression"])
def test_inputs_need_no_label(kind: str) -> None:
    row = task(kind=kind).read_input({"text": "fine", "text_pair": "film"})
    assert row == {"text": "fine", "text_pair": "film", "label": [], "group": None}


@pytest.mark.parametrize("given", [{"text": ""}, {"text_pair": "b"}, {"text": "a", "label": "b"}, {"txt": "a"}])
def test_inputs_that_cannot_be_read(given: dict) -> None:
    with pytest.raises(RowError):
        task().read_input(given)


# what there is to predict


def test_labels_are_sorted_numbers_by_size() -> None:
    target = task().learn(table([["10"], ["9"], ["b"], ["a"], ["9"]], task()))
    assert target == Target("multi-class", ("9", "10", "a", "b"), (2, 1, 1, 1))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([["a"], ["b"]], "multi-class"),
        ([["a"], ["a", "b"]], "multi-label"),
        ([["a"], []], "multi-label"),
        ([[f"{n / 8}"] for n in range(20)], "regression"),
        ([[str(n)] for n in range(20)], "multi-class"),
        ([[f"{n / 2}"] for n in range(6)], "multi-class"),
        ([*([f"{n / 8}"] for n in range(20)), ["much"]], "multi-class"),
    ],
)
def test_kind_is_seen_from_the_labels(labels: list[list[str]], kind: str) -> None:
    assert task().learn(table(labels, task())).kind == kind


def test_kind_may_be_said() -> None:
    one_each = table([["1"], ["2"], ["1"]], task())
    assert task(kind="multi-label").learn(one_each).kind == "multi-label"
    target = task(kind="regression").learn(one_each)
    assert target.labels == ("value",)
    assert target.scale == pytest.approx((4 / 3, np.std([1, 2, 1])))
    assert task(kind="regression").learn(table([["2"], ["2"]], task())).scale == (2.0, 1.0)


def test_targets_are_numbers() -> None:
    rows = table([["good"], ["bad"]], task())
    assert task().targets(rows, MULTI_CLASS).tolist() == [2, 0]
    assert task().targets(table([["c", "a"], []], task()), MULTI_LABEL).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert task().targets(table([["2.5"], ["-1"]], task()), REGRESSION).tolist() == [2.5, -1.0]
    assert task().strata(rows) == [["good"], ["bad"]]


def test_target_survives_saving() -> None:
    for target in (MULTI_CLASS, MULTI_LABEL, REGRESSION):
        assert Target.from_json(target.to_json()) == target


@pytest.mark.parametrize(
    ("options", "labels", "told"),
    [
        (
            {"class_weights": {"god": 2.0}},
            [["good"], ["bad"]],
            "task.class_weights: no label 'god'\n    did you mean 'good'",
        ),
        (
            {"kind": "regression", "class_weights": "balanced"},
            [["1"]],
            "'balanced' has no effect on a regression target",
        ),
        ({"kind": "regression", "class_weights": {"1": 2.0}}, [["1"]], "has no effect on a regression target"),
        (
            {"kind": "regression", "loss": "focal", "resample": "balanced"},
            [["1"]],
            "task.resample: 'balanced' has no effect",
        ),
        (
            {"resample": "balanced"},
            [["a", "b"]],
            "'balanced' has no effect on a multi-label target\n    legal here: none",
        ),
    ],
)
def test_options_without_effect_are_refused(options: dict, labels: list[list[str]], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        task(**options).learn(table(labels, task()))
    assert told in str(caught.value)


# losses


def test_class_weights_scale_the_loss() -> None:
    outputs, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    plain = task().loss(MULTI_CLASS)(outputs, targets)
    balanced = torch.tensor([100 / 30, 100 / 90, 100 / 180])
    torch.testing.assert_close(
        task(class_weights="balanced").loss(MULTI_CLASS)(outputs, targets), plain * balanced[targets]
    )
    named = task(class_weights={"good": 3.0}).loss(MULTI_CLASS)(outputs, targets)
    torch.testing.assert_close(named, plain * torch.tensor([1.0, 1.0, 3.0, 3.0]))


def test_focal_loss_is_chosen() -> None:
    outputs, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    p = outputs.softmax(1)[range(4), targets]
    loss = task(loss="focal", focal_gamma=3.0).loss(MULTI_CLASS)
    torch.testing.assert_close(loss(outputs, targets), (1 - p) ** 3 * -p.log())
    many = torch.ones(4, 3, dtype=torch.long)
    focal, plain = (task(loss=name).loss(MULTI_LABEL)(outputs, many) for name in ("focal", "cross-entropy"))
    assert (focal < plain).all()


def test_regression_learns_scaled_values() -> None:
    loss = task().loss(REGRESSION)
    torch.testing.assert_close(
        loss(torch.tensor([[1.0], [0.0]]), torch.tensor([5.0, 5.0], dtype=torch.float64)), torch.tensor([0.0, 1.0])
    )
    outputs = list(np.array([[1.0], [0.0]], np.float32))
    np.testing.assert_allclose(task().scores(outputs, Sequences([0, 1]), REGRESSION, Request()), [5.0, 3.0])


def test_label_smoothing_where_there_is_none_is_refused() -> None:
    for options, target in (({}, REGRESSION), ({"loss": "focal"}, MULTI_CLASS)):
        with pytest.raises(UsageError, match=r"train\.label_smoothing"):
            task(**options).loss(target, label_smoothing=0.1)
    task(loss="focal").loss(MULTI_LABEL, label_smoothing=0.1)
    task().loss(MULTI_CLASS, label_smoothing=0.1)


def test_balanced_resampling_draws_labels_equally_often() -> None:
    targets = np.array([0] * 10 + [1] * 30 + [2] * 60)
    rows = Sequences(range(100), targets)
    drawn = np.concatenate([task(resample="balanced").resample(rows, MULTI_CLASS, seed) for seed in range(30)])
    assert np.bincount(targets[drawn]) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.03)
    again = task(resample="balanced")
    assert (again.resample(rows, MULTI_CLASS, 3) == again.resample(rows, MULTI_CLASS, 3)).all()
    assert (again.resample(rows, MULTI_CLASS, 3) != again.resample(rows, MULTI_CLASS, 4)).any()
    assert task().resample(rows, MULTI_CLASS, 0).tolist() == list(range(100))


def test_head_has_an_output_for_each_label() -> None:
    head = task(pairs="separate").head(8, MULTI_CLASS, pooling="cls", dropout=0.25)
    assert isinstance(head, TextHead)
    assert (head.linear.out_features, head.pair, head.dropout.p, head.pooling.mode) == (3, True, 0.25, "cls")
    assert not task().head(8, MULTI_CLASS, pooling="mean", dropout=0).pair


@pytest.mark.parametrize(
    ("options", "target", "paired", "encoder", "pairs"),
    [
        ({}, REGRESSION, True, True, "separate"),
        ({}, REGRESSION, True, False, "joint"),
        ({}, REGRESSION, False, True, "joint"),
        ({}, MULTI_CLASS, True, True, "joint"),
        ({"pairs": "joint"}, REGRESSION, True, True, "joint"),
        ({"pairs": "separate"}, MULTI_CLASS, True, False, "separate"),
    ],
)
def test_pairs_are_read_apart_where_that_suits(
    options: dict, target: Target, paired: bool, encoder: bool, pairs: str
) -> None:
    chosen = task(**options).choose(target, paired=paired, sentence_encoder=encoder)
    assert (chosen["kind"], chosen["pairs"]) == (target.kind, pairs)


# answers


def test_scores_are_probabilities() -> None:
    outputs = np.array([[0.0, 1.0, 800.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        task().scores(list(outputs), Sequences(range(len(outputs))), MULTI_CLASS, Request()),
        [[0, 0, 1], [1 / 3] * 3],
        atol=1e-12,
    )
    np.testing.assert_allclose(
        task().scores(list(outputs), Sequences(range(len(outputs))), MULTI_LABEL, Request())[1], [0.5] * 3
    )
    assert task().scores(list(outputs), Sequences(range(len(outputs))), MULTI_LABEL, Request()).dtype == np.float64


SCORES = np.array([[0.1, 0.3, 0.6], [0.5, 0.25, 0.25]])


def test_one_label() -> None:
    assert task().answers(scored(SCORES), MULTI_CLASS, Request()) == [
        {"label": "good", "score": 0.6},
        {"label": "bad", "score": 0.5},
    ]


def test_unsure_answers_are_unknown() -> None:
    for threshold, labels in ((0.5, ["good", "bad"]), (0.55, ["good", "unknown"]), (1.0, ["unknown", "unknown"])):
        answers = task().answers(scored(SCORES), MULTI_CLASS, Request(threshold=threshold))
        assert [answer["label"] for answer in answers] == labels
        assert [answer["score"] for answer in answers] == [0.6, 0.5]


def test_likeliest_labels() -> None:
    (first, second) = task().answers(scored(SCORES), MULTI_CLASS, Request(top_k=2))
    assert first["top"] == [{"label": "good", "score": 0.6}, {"label": "fine", "score": 0.3}]
    assert [entry["label"] for entry in second["top"]] == ["bad", "fine"]
    assert len(task().answers(scored(SCORES), MULTI_CLASS, Request(top_k=9))[0]["top"]) == 3


def test_several_labels_by_their_thresholds() -> None:
    scores = np.array([[0.2, 0.6, 0.89], [0.1, 0.1, 0.1]])
    assert task().answers(scored(scores), MULTI_LABEL, Request()) == [
        {"labels": ["b", "a"], "scores": [0.6, 0.2]},
        {"labels": [], "scores": []},
    ]
    asked = task().answers(scored(scores), MULTI_LABEL, Request(threshold=0.6))[0]
    assert asked["labels"] == ["c", "b"]
    untuned = Target("multi-label", ("a", "b", "c"))
    assert task().answers(scored(scores), untuned, Request())[0]["labels"] == ["c", "b"]
    assert task().answers(scored(scores), untuned, Request(top_k=2))[1]["top"] == [
        {"label": "a", "score": 0.1},
        {"label": "b", "score": 0.1},
    ]


def test_a_value() -> None:
    assert task().answers(scored(np.array([2.5])), REGRESSION, Request()) == [{"value": 2.5}]


def predictions(scores: np.ndarray, labels: list[Any], target: Target) -> metrics.Predictions:
    return task().predictions(scored(scores, labels), target)


def test_predictions_follow_the_thresholds() -> None:
    made = predictions(np.array([[0.3, 0.4, 0.8], [0.1, 0.5, 0.95]]), [["a"], ["b", "c"]], MULTI_LABEL)
    assert made.predicted.tolist() == made.targets.tolist() == [[1, 0, 0], [0, 1, 1]]
    made = predictions(SCORES, ["good", "fine"], MULTI_CLASS)
    assert made.predicted.tolist() == [2, 0]
    assert metrics.score(made)["accuracy"] == 0.5


def test_thresholds_are_tuned_where_asked() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, (200, 3))
    scores = np.clip(0.15 + 0.2 * truth + random.normal(0, 0.02, (200, 3)), 0, 1)
    untuned = Target("multi-label", ("a", "b", "c"))
    labels = [[untuned.labels[number] for number in np.flatnonzero(row)] for row in truth]
    made = scored(scores, labels)
    tuned = task(calibrate="none").tune(made, untuned)
    assert all(0.2 < threshold < 0.33 for threshold in tuned.thresholds)
    assert metrics.score(predictions(scores, labels, tuned))["f1_macro"] > 0.98
    assert task(calibrate="none", tune_thresholds=False).tune(made, untuned) == untuned
    assert task(calibrate="none").tune(scored(SCORES, ["good", "fine"]), MULTI_CLASS) == MULTI_CLASS


@pytest.mark.parametrize("target", [MULTI_CLASS, MULTI_LABEL, REGRESSION])
def test_the_metric_that_chooses_is_one_that_is_computed(target: Target) -> None:
    scores = {"multi-class": SCORES, "multi-label": SCORES, "regression": np.array([1.0, 2.0])}[target.kind]
    truth = {"multi-class": ["good", "fine"], "multi-label": [["a", "c"], ["b"]], "regression": [1.0, 3.0]}[target.kind]
    made = predictions(scores, truth, target)
    assert task().metric(target) in metrics.score(made)


def test_votes_of_windows_are_not_calibrated() -> None:
    """They are shares of windows; what is calibrated is what the windows say together."""
    warm = Target("multi-class", ("bad", "fine", "good"), decision=Decision(calibration=((0.5, 0.0),)))
    outputs = [np.array(row, np.float32) for row in ([2.0, 0, 0], [0, 3.0, 0], [0, 1.0, 0])]
    windows = Sequences([0, 0, 1])
    (votes, one), (mean, _) = (task().scores(outputs, windows, warm, Request(windows=how)) for how in ("vote", "mean"))
    assert votes.tolist() == [0.5, 0.5, 0]
    assert one.tolist() == [0, 1, 0]
    raw = task().scores(outputs, windows, MULTI_CLASS, Request())[0]
    np.testing.assert_allclose(mean, raw**0.5 / (raw**0.5).sum())


def test_votes_are_told_from_probabilities_when_decisions_are_tuned() -> None:
    random = np.random.default_rng(0)
    labels = [MULTI_CLASS.labels[number] for number in random.integers(0, 3, 60)]
    votes, chances = np.eye(3)[random.integers(0, 3, 60)], random.dirichlet(np.ones(3), 60)
    assert not task().tune(scored(votes, labels), MULTI_CLASS).decision.calibration
    assert task().tune(scored(chances, labels), MULTI_CLASS).decision.calibration
