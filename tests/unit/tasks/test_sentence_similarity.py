"""Sentence similarity: what is read from a row, what is learned from the rows, what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from tiny import TEXTS
from tunesmith import config, metrics
from tunesmith.data.examples import Examples
from tunesmith.errors import DataError, UsageError
from tunesmith.heads import StepLoss, TextHead
from tunesmith.heads.embeddings import EmbeddingHead
from tunesmith.tasks.base import RowError, Scored, Target
from tunesmith.tasks.sentence_similarity import Params, Request, Task
from tunesmith.text import encode as text

SCORED = Target("regression", ("score",), scale=(0.0, 5.0))
UNSCORED = Target("ranking", ("score",))
PAIR = {"text": "a", "text_pair": "b"}


def task(**options: Any) -> Task:
    return Task(Params(**options))


def table(*rows: dict[str, Any], of: Task | None = None) -> pa.Table:
    of = of or task()
    return pa.Table.from_pylist([of.read_row({**PAIR, **row}) for row in rows], schema=of.schema())


def with_scores(*scores: float) -> pa.Table:
    return table(*({"text": f"a{n}", "text_pair": f"b{n}", "score": score} for n, score in enumerate(scores)))


@pytest.fixture
def read(model: Callable[..., Path], tmp_path: Path) -> Callable[..., Examples]:
    """Encodes rows with a tiny tokenizer."""

    def of(made: Task, rows: pa.Table, target: Target | None = None, **reading: Any) -> Examples:
        chosen = config.Model(**{"max_length": 16, **reading})
        return made.encode(rows, text.load_tokenizer(model("bert")), chosen, tmp_path, target)

    return of


# rows


def test_a_row_becomes_canonical() -> None:
    row = task().read_row({**PAIR, "score": "4.5", "negative": ["c", "d", "c"], "group": 7})
    assert row == {**PAIR, "score": 4.5, "negative": ["c", "d"], "group": "7"}
    assert pa.Table.from_pylist([row], schema=task().schema()).num_rows == 1
    assert task().read_row({"text": 5, "text_pair": True}) == {
        "text": "5",
        "text_pair": "True",
        "score": None,
        "negative": [],
        "group": None,
    }


@pytest.mark.parametrize(
    ("cell", "score"),
    [(3, 3.0), ("0.25", 0.25), (True, 1.0), (False, 0.0), ("-1", -1.0), (" 2 ", 2.0), ("1e-3", 0.001)],
)
def test_scores(cell: Any, score: float) -> None:
    assert task().read_row({**PAIR, "score": cell})["score"] == score


@pytest.mark.parametrize(
    ("cell", "texts"), [("c", ["c"]), (None, []), ("", []), (" ", []), ([], []), (("c", "d"), ["c", "d"]), (5, ["5"])]
)
def test_hard_negatives(cell: Any, texts: list[str]) -> None:
    assert task().read_row({**PAIR, "negative": cell})["negative"] == texts


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({"text": None}, "text", "is missing"),
        ({"text": " \n"}, "text", "is blank"),
        ({"text": ["a"]}, "text", "is a list, not text"),
        ({"text_pair": None}, "text_pair", "is missing"),
        ({"text_pair": ""}, "text_pair", "is blank"),
        ({"text_pair": {"a": 1}}, "text_pair", "is a dict, not text"),
        ({"score": None}, "score", "is missing"),
        ({"score": "  "}, "score", "is missing"),
        ({"score": float("nan")}, "score", "is missing"),
        ({"score": "very"}, "score", "is not a number"),
        ({"score": "nan"}, "score", "is not a number"),
        ({"score": float("inf")}, "score", "is not a number"),
        ({"score": [1, 2]}, "score", "is not a number"),
        ({"negative": ["c", None]}, "negative", "is missing"),
        ({"negative": ["c", " "]}, "negative", "is blank"),
        ({"negative": [["c"]]}, "negative", "is a list, not text"),
        ({"negative": {"c": 1}}, "negative", "is a dict, not text"),
    ],
)
def test_rows_that_cannot_be_used(row: dict, column: str, message: str) -> None:
    with pytest.raises(RowError, match=f"^{message}") as caught:
        task().read_row({**PAIR, **row})
    assert caught.value.column == column


def test_malformed_rows_are_each_told_with_their_line(tmp_path: Path) -> None:
    from tunesmith.data.prepare import prepare

    good = [json.dumps({**PAIR, "text": f"a {n}", "score": n / 40, "negative": "c"}) for n in range(40)]
    bad = [
        '{"text": "a"}',
        '{"text": null, "text_pair": "b", "score": 1}',
        '{"text": "  ", "text_pair": "b", "score": 1}',
        '{"text": "a", "text_pair": "", "score": 1}',
        '{"text": "a", "text_pair": ["b"], "score": 1}',
        '{"text": "a", "text_pair": "b", "score": null}',
        '{"text": "a", "text_pair": "b", "score": "good"}',
        '{"text": "a", "text_pair": "b", "score": 1, "negative": [""]}',
        '{"text": "a", "text_pair": "b", "score": 1, "negative": {}}',
        '{"text": "a", "text_pair": "b", "score": 1',
        '{"text": "a", "text_pair": "b", "score": [0.5]}',
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join([*good, *bad]))
    made = config.resolve(flags={"task": "sentence-similarity", "data.train": str(file)}, environment={})
    with pytest.raises(DataError) as caught:
        prepare(made, Task(made.task), tmp_path / "work").stop_on_errors()
    assert {int(line) for line in re.findall(r"pairs\.jsonl:(\d+)", str(caught.value))} == set(range(41, 52))


# inputs


def test_inputs_are_a_pair_or_a_text() -> None:
    assert task().read_input(PAIR) == {**PAIR, "score": None, "negative": [], "group": None}
    single = task().read_input({"text": "a"})
    assert single["text_pair"] is None
    for form in ("bi-encoder", "cross-encoder"):
        task(form=form).check_input(task().read_input(PAIR), {"text_pair": "b"})
    task().check_input(single, {"text_pair": "b"})
    with pytest.raises(RowError, match="reads two texts"):
        task(form="cross-encoder").check_input(single, {"text_pair": "b"})


@pytest.mark.parametrize(
    "given",
    [{}, {"text": ""}, {"text_pair": "b"}, {**PAIR, "score": 1}, {"txt": "a"}, {"text": "a", "text_pair": None}],
)
def test_inputs_that_cannot_be_read(given: dict) -> None:
    with pytest.raises(RowError):
        task().read_input(given)


# what there is to predict


@pytest.mark.parametrize(
    ("scores", "options", "scale"),
    [
        ((0, 5, 2.5), {}, (0.0, 5.0)),
        ((1, 5), {}, (1.0, 4.0)),
        ((0.2, 0.9), {}, (0.0, 1.0)),
        ((0, 1, 1), {}, (0.0, 1.0)),
        ((-1, 0.5), {}, (-1.0, 1.5)),
        ((1, 4), {"lowest_score": 0, "highest_score": 5}, (0.0, 5.0)),
    ],
)
def test_scores_are_scaled(scores: tuple[float, ...], options: dict, scale: tuple[float, float]) -> None:
    target = task(**options).learn(with_scores(*scores))
    assert target == Target("regression", ("score",), scale=scale)
    assert Target.from_json(json.loads(json.dumps(target.to_json()))) == target


def test_pairs_without_scores_are_all_alike() -> None:
    assert task().learn(table({}, {})) == UNSCORED
    assert task().learn(with_scores(1, 1)) == UNSCORED
    with pytest.raises(DataError, match="every score is 0"):
        task().learn(with_scores(0, 0))


@pytest.mark.parametrize(
    ("options", "rows", "told"),
    [
        ({"loss": "in-batch"}, with_scores(0, 0.5, 1), "task.loss: 'in-batch' does not go with these rows and this form\n    legal here: cosine, ranking"),
        ({"loss": "cosine"}, table({}, {}), "task.loss: 'cosine' does not go with these rows and this form\n    legal here: in-batch"),
        ({"loss": "cross-entropy"}, with_scores(0, 1), "legal here: cosine, ranking, in-batch"),
        ({"form": "cross-encoder", "loss": "ranking"}, with_scores(0, 1), "legal here: cross-entropy"),
        ({"form": "cross-encoder"}, table({}, {}), "task.form: a cross-encoder learns from scores that differ"),
        ({"form": "cross-encoder", "dimensions": 8}, with_scores(0, 1), "task.dimensions: has no effect"),
        ({"form": "cross-encoder", "matryoshka": (8,)}, with_scores(0, 1), "task.matryoshka: has no effect"),
        ({"highest_score": 5}, table({}, {}), "task.highest_score: has no effect"),
        ({"highest_score": 4}, with_scores(1, 5), "task.highest_score: 4, but scores of the training rows go from 1 to 5"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict, rows: pa.Table, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        task(**options).learn(rows)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("options", "target", "loss"),
    [
        ({}, UNSCORED, "in-batch"),
        ({"form": "cross-encoder"}, SCORED, "cross-entropy"),
        ({"loss": "cosine"}, SCORED, "cosine"),
        ({"loss": "in-batch"}, SCORED, "in-batch"),
    ],
)
def test_the_loss_is_chosen(options: dict, target: Target, loss: str) -> None:
    made = task(**options)
    assert made.choose(target, paired=True, sentence_encoder=True) == {"loss": loss}
    chosen = task(**{**options, "loss": loss}).loss(target)
    assert isinstance(chosen, StepLoss) == (loss == "in-batch")
    assert task().choose(SCORED, paired=True, sentence_encoder=True)["loss"] in ("cosine", "ranking")


def test_the_metric_that_chooses() -> None:
    assert (task().metric(SCORED), task().metric(UNSCORED)) == ("spearman", "mrr")


def test_findings_tell_of_negatives() -> None:
    rows = table({"negative": ["b", "c"]}, {"text": "e", "negative": "d"})
    found = {finding.code: finding.count for finding in task().findings(rows, UNSCORED)}
    assert found == {"negative_is_pair": 1}
    found = {finding.code: finding.count for finding in task().findings(rows, SCORED)}
    assert found == {"negative_is_pair": 1, "unused_negatives": 2}
    assert not list(task().findings(with_scores(0, 1), SCORED))


# what is learned


def test_both_texts_are_read_apart(read: Callable[..., Examples]) -> None:
    rows = table(
        {"text": TEXTS[0], "text_pair": TEXTS[1], "score": 5}, {"text": TEXTS[2], "text_pair": TEXTS[0], "score": 1}
    )
    examples = read(task(), rows, SCORED)
    assert len(examples.encoded) == 2
    assert examples.targets.tolist() == [[1.0, 0, 2], [0.2, 1, 0]]
    assert read(task(), rows).targets is None


def test_hard_negatives_are_read_for_learning_alone(read: Callable[..., Examples]) -> None:
    rows = table({"negative": ["c", "d"]}, {"text": "e", "text_pair": "f"})
    examples = read(task(), rows, UNSCORED)
    assert len(examples.encoded) == 4
    assert examples.targets.tolist() == [[1, 0, 2, 4, 5], [1, 1, 3, -1, -1]]
    assert len(read(task(), rows).encoded) == 2
    scored = table({"negative": "c", "score": 0}, {"score": 5})
    assert len(read(task(), scored, SCORED).encoded) == 2


def test_a_cross_encoder_reads_both_at_once(read: Callable[..., Examples]) -> None:
    examples = read(task(form="cross-encoder"), with_scores(0, 5, 2), SCORED)
    assert len(examples.encoded) == 1
    assert examples.targets.dtype == np.float32
    assert examples.targets.tolist() == [[0.0], [1.0], pytest.approx([0.4])]


def test_windows_are_for_cross_encoders(read: Callable[..., Examples]) -> None:
    rows = table({"text": " ".join(TEXTS), "text_pair": TEXTS[0], "score": 1})
    with pytest.raises(UsageError, match=r"model\.long_text"):
        read(task(), rows, long_text="windows")
    examples = read(task(form="cross-encoder"), rows, long_text="windows", window_overlap=2)
    assert len(examples) > 1
    outputs = [np.array([value], np.float32) for value in np.linspace(-1, 3, len(examples))]
    (score,) = task(form="cross-encoder").scores(outputs, examples, SCORED, Request())
    assert score == pytest.approx(5 * np.mean([1 / (1 + np.exp(-output[0])) for output in outputs]))


def test_heads() -> None:
    head = task(dimensions=4).head(8, SCORED, pooling="cls", dropout=0.25)
    assert isinstance(head, EmbeddingHead)
    assert (head.dimensions, head.dropout.p, head.pooling.mode) == (4, 0.25, "cls")
    crossed = task(form="cross-encoder").head(8, SCORED, pooling="mean", dropout=0)
    assert isinstance(crossed, TextHead)
    assert (crossed.linear.out_features, crossed.pair) == (1, False)
    task(matryoshka=(2, 4)).head(8, SCORED, pooling="mean", dropout=0)
    with pytest.raises(UsageError, match=r"task\.matryoshka"):
        task(matryoshka=(2, 4), dimensions=4).head(8, SCORED, pooling="mean", dropout=0)


def test_losses_follow_the_options() -> None:
    outputs, targets = torch.randn(3, 16), torch.tensor([[1.0, 0, 1], [0, 2, 3], [1, 4, 5]], dtype=torch.float64)
    cold, warm = (task(loss="ranking", temperature=t).loss(SCORED)(outputs, targets) for t in (0.05, 0.5))
    assert not torch.allclose(cold, warm)
    nested = task(loss="cosine", matryoshka=(2,)).loss(SCORED)(outputs, targets)
    assert not torch.allclose(nested, task(loss="cosine").loss(SCORED)(outputs, targets))
    with pytest.raises(UsageError, match=r"train\.label_smoothing"):
        task().loss(SCORED, label_smoothing=0.1)


# what is answered


def scored(rows: pa.Table, scores: Any, examples: Any = None) -> Scored:
    class _Read:
        text_lengths = np.full(len(rows), 5)

    return Scored(rows, examples or _Read(), scores, Task.inputs)


def pair(cosine: float, length: float = 2.0) -> np.ndarray:
    return length * np.array([[1, 0, 0], [cosine, (1 - cosine**2) ** 0.5, 0]], np.float32)


def test_scores_are_the_embeddings_of_the_pair(read: Callable[..., Examples]) -> None:
    rows = table({"negative": "c"}, {"text": "e", "text_pair": "f"})
    outputs = [np.arange(9, dtype=np.float32) + 9 * row for row in range(2)]
    first, second = task().scores(outputs, read(task(), rows, UNSCORED), UNSCORED, Request())
    assert first.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert second.shape == (2, 3)
    single = pa.Table.from_pylist([task().read_input({"text": "a"})], schema=task().schema())
    (alone,) = task().scores([np.ones(3, np.float32)], read(task(), single), UNSCORED, Request())
    assert alone.shape == (1, 3)


def test_predictions_are_on_the_scale_of_the_rows() -> None:
    made = task().predictions(scored(with_scores(0, 5, 4), [pair(0.0), pair(1.0), pair(0.6)]), SCORED)
    assert made.kind == "regression"
    assert made.targets.tolist() == [0, 5, 4]
    assert made.predicted == pytest.approx([0, 5, 3], abs=1e-5)
    assert made.texts[0] == "a0 ⟷ b0"
    assert task().metric(SCORED) in metrics.score(made)
    crossed = task(form="cross-encoder").predictions(scored(with_scores(0, 5), np.array([1.5, 4])), SCORED)
    assert crossed.predicted.tolist() == [1.5, 4]


def test_rows_without_scores_cannot_be_predicted_of_a_model_of_scores() -> None:
    with pytest.raises(DataError, match="1 rows have no score"):
        task().predictions(scored(table({}), [pair(0.5)]), SCORED)


def test_ranks_of_pairs_without_scores() -> None:
    rows = table(*({"text": f"a{n}", "text_pair": f"b{n}"} for n in range(3)))
    axes = np.eye(3)
    pairs = [np.stack([axes[0], axes[0]]), np.stack([axes[1], axes[2]]), np.stack([axes[2], axes[2] + 0.5 * axes[1]])]
    made = task().predictions(scored(rows, pairs), UNSCORED)
    assert made.kind == "ranking"
    assert list(made.texts) == ["a0", "a1", "a2"]
    assert list(made.targets) == ["b0", "b1", "b2"]
    assert list(made.predicted) == ["b0", "b2", "b1"]
    found = metrics.score(made)
    assert found["mrr"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    assert found["recall_at_1"] == pytest.approx(1 / 3)


def test_tuning_puts_cosines_on_the_scale_of_the_scores() -> None:
    cosines, truth = [0.5, 0.7, 0.9, 0.95], [0.0, 2.0, 4.0, 4.5]
    given = scored(with_scores(*truth), [pair(cosine) for cosine in cosines])
    tuned = task().tune(given, SCORED)
    assert tuned.scale == pytest.approx((-5, 10), abs=1e-4)
    assert task().predictions(given, tuned).predicted == pytest.approx(truth, abs=1e-4)
    backwards = scored(with_scores(*reversed(truth)), [pair(cosine) for cosine in cosines])
    assert task().tune(backwards, SCORED) == SCORED
    constant = scored(with_scores(1, 2), [pair(0.5), pair(0.5)])
    assert task().tune(constant, SCORED) == SCORED
    assert task(form="cross-encoder").tune(scored(with_scores(1, 2), np.array([1.0, 4])), SCORED) == SCORED


def answers(
    rows: list[dict[str, Any]], scores: list[np.ndarray], target: Target = SCORED, **request: Any
) -> list[dict]:
    canonical = pa.Table.from_pylist([task().read_input(row) for row in rows], schema=task().schema())
    found = task().answers(scored(canonical, scores), target, Request(**request))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_a_pair_gets_a_score() -> None:
    assert answers([PAIR], [pair(0.6)]) == [{"score": pytest.approx(3), "cosine": pytest.approx(0.6)}]
    assert answers([PAIR], [pair(0.6)], UNSCORED) == [{"score": pytest.approx(0.6)}]
    crossed = task(form="cross-encoder")
    rows = pa.Table.from_pylist([crossed.read_input(PAIR)], schema=crossed.schema())
    assert crossed.answers(scored(rows, np.array([3.5])), SCORED, Request()) == [{"score": 3.5}]
    with pytest.raises(UsageError, match="request parameter embeddings"):
        crossed.answers(scored(rows, np.array([3.5])), SCORED, Request(embeddings=True))


def test_a_text_gets_an_embedding_also_beside_pairs() -> None:
    found = answers([{"text": "a"}, PAIR], [pair(1.0), pair(0.6)])
    assert found[0] == {"embedding": pytest.approx([1, 0, 0])}
    assert found[1].keys() == {"score", "cosine"}
    assert answers([{"text": "a"}], [pair(0.5)[:1]])[0]["embedding"] == pytest.approx([1, 0, 0])


def test_the_request_is_honoured() -> None:
    assert answers([{"text": "a"}], [pair(0.5)[:1]], normalize=False)[0]["embedding"] == pytest.approx([2, 0, 0])
    both = answers([PAIR], [pair(0.6)], embeddings=True)[0]
    assert both["embedding"] == pytest.approx([1, 0, 0])
    assert both["embedding_pair"] == pytest.approx([0.6, 0.8, 0])
    short = np.array([[3.0, 4.0, 12.0]])
    assert answers([{"text": "a"}], [short], dimensions=2)[0]["embedding"] == pytest.approx([0.6, 0.8])
    apart = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]])
    assert answers([PAIR], [apart], dimensions=2)[0]["cosine"] == pytest.approx(0)
    with pytest.raises(UsageError, match="legal: 2 to 3"):
        answers([PAIR], [apart], dimensions=4)


def test_drift_is_that_of_the_directions() -> None:
    then = [pair(0.6).tolist(), pair(0.2).tolist()]
    assert task().drift(then, [pair(0.6, length=9), pair(0.2)], SCORED) == pytest.approx(0, abs=1e-6)
    assert task().drift(then, [pair(0.6), pair(0.5)], SCORED) > 0.3
    assert task(form="cross-encoder").drift([1.0, 2.0], np.array([1.0, 2.5]), SCORED) == pytest.approx(0.1)
