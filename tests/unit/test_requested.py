"""Request parameters of tasks that label, mark or compare: honoured, refused by name, or told to have no effect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small
import tunesmith as ts
from tunesmith import config as configs
from tunesmith import requested
from tunesmith.errors import UsageError
from tunesmith.predict import Model

Opened = Callable[..., Model]
LONG = "fine film " * 40


@pytest.fixture(scope="module")
def opened(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Gives a model of a kind, shortly trained."""
    made: dict[str, Model] = {}

    def of(kind: str, **more: Any) -> Model:
        name = f"{kind} {sorted(more)}"
        if name not in made:
            folder: Path = tmp_path_factory.mktemp("requested") / "run"
            quick = {"train.max_steps": 6, "train.evaluate_every": "6 steps", **more}
            made[name] = ts.load(ts.train(quiet=True, out=str(folder), **parameters(kind, **quick)).folder)
        return made[name]

    return of


def warnings(model: Model, given: Any, **request: Any) -> list[str]:
    (answer,) = model.answers([given], **request)
    found: list[str] = answer.get("warnings", [])
    return [text.split()[0] for text in found]


def test_scores_are_shown_by_another_activation_and_labels_stay(opened: Opened) -> None:
    model, texts = opened("binary"), [row["text"] for row in small.rows("binary", 6, seed=9)]
    usual = model.answers(texts, top_k=2)
    raw, soft, single = (model.answers(texts, top_k=2, activation=name) for name in ("none", "softmax", "sigmoid"))
    for plain, *others in zip(usual, raw, soft, single, strict=True):
        assert {one["label"] for one in others} == {plain["label"]}
        logits, shares, each = ([entry["score"] for entry in one["top"]] for one in others)
        assert np.exp(logits) / np.exp(logits).sum() == pytest.approx(shares)
        assert 1 / (1 + np.exp(-np.array(logits))) == pytest.approx(each)
        assert others[0]["score"] == logits[0]


def test_activation_works_in_windows_and_for_several_labels(opened: Opened) -> None:
    windowed = opened("binary", **{"model.long_text": "windows", "model.window_overlap": 4})
    (answer,) = windowed.answers([LONG], activation="none", top_k=2, window_overlap=8)
    assert "warnings" not in answer
    assert answer["score"] == max(entry["score"] for entry in answer["top"])
    (many,) = opened("multi-label").answers(["fine film"], activation="none", top_k=2, threshold=0.0)
    assert len(many["labels"]) == len(opened("multi-label").target.labels)
    assert any(not 0 <= score <= 1 for score in many["scores"]) or len(set(many["scores"])) > 1


def test_thresholds_may_be_given_label_by_label(opened: Opened) -> None:
    one, many = opened("binary"), opened("multi-label")
    (plain,) = one.answers(["fine film"])
    other = next(label for label in one.target.labels if label != plain["label"])
    assert one.answers(["fine film"], threshold={plain["label"]: 1.0})[0]["label"] == "unknown"
    assert one.answers(["fine film"], threshold={other: 1.0})[0] == plain
    first, *rest = many.target.labels
    (only,) = many.answers(["fine film"], threshold={first: 0.0, **dict.fromkeys(rest, 1.0)})
    assert only["labels"] == [first]
    with pytest.raises(UsageError, match=r"request parameter threshold: no label .*\n.*did you mean"):
        one.answers(["fine film"], threshold={plain["label"][:-1]: 0.5})
    with pytest.raises(UsageError, match="legal: number >= 0 and <= 1 or mapping"):
        one.answers(["fine film"], threshold={plain["label"]: 1.5})


def test_what_has_no_effect_on_labels_is_told(opened: Opened) -> None:
    assert warnings(opened("binary"), "fine film") == []
    assert warnings(opened("binary"), "fine film", windows="vote", window_overlap=3) == ["window_overlap", "windows"]
    (answer,) = opened("binary").answers(["fine film"], top_k=9)
    assert answer["warnings"] == ["top_k is 9, but there are only 2 labels"]
    told = warnings(opened("regression"), "fine film", threshold=0.5, top_k=2, activation="none", windows="vote")
    assert set(told) == {"threshold", "top_k", "activation", "windows"}


def test_words_become_entities_in_each_way(opened: Opened) -> None:
    model = opened("entities", **{"train.max_steps": 60, "train.evaluate_every": "60 steps"})
    texts = [row["text"] for row in small.rows("entities", 20, seed=4)]
    found = model.answers(texts, word_threshold=0.02)
    text, usual = next(pair for pair in zip(texts, found, strict=True) if pair[1]["entities"])
    by: dict[str, Any] = {}
    for way in ("mean", "average", "min", "max", "first", "product"):
        (by[way],) = model.answers([text], word_threshold=0.02, aggregation=way)
        places = [(one["start"], one["end"], one["type"]) for one in by[way]["entities"]]
        assert places == [(one["start"], one["end"], one["type"]) for one in usual["entities"]]
    assert by["mean"] == by["average"] == usual
    for low, mean, high in zip(by["min"]["entities"], usual["entities"], by["max"]["entities"], strict=True):
        assert low["score"] <= mean["score"] <= high["score"]
    (words,) = model.answers([text], word_threshold=0.02, aggregation="none")
    assert "entities" not in words
    assert "".join(one["text"] for one in words["words"]) == text.replace(" ", "")
    (simple,) = model.answers([text], word_threshold=0.02, aggregation="simple")
    inside = [one for one in words["words"] if one["label"] != "O"]
    assert sum(len(one["text"].replace(" ", "")) for one in simple["entities"]) == sum(
        len(one["text"]) for one in inside
    )
    assert all(
        one["score"] >= 0.2 or one["label"] == "O"
        for one in model.answers([text], aggregation="none", threshold=0.2)[0]["words"]
    )


def test_what_has_no_effect_elsewhere_is_told(opened: Opened) -> None:
    assert warnings(opened("entities"), "fine film", scheme="io") == ["scheme"]
    question = {"question": "the food thing", "context": "then the soup was very fine"}
    assert warnings(opened("questions"), question, allow_no_answer=False, null_threshold=0.3) == ["null_threshold"]
    assert warnings(opened("questions"), question, allow_no_answer=True, null_threshold=0.3) == []
    alike = opened("alike")
    assert warnings(alike, ("fine film", "dull film"), normalize=False) == ["normalize"]
    assert warnings(alike, ("fine film", "dull film"), normalize=False, embeddings=True) == []
    assert warnings(alike, "fine film", embeddings=True) == ["embeddings"]


def test_what_writes_nothing_cannot_be_streamed(opened: Opened) -> None:
    with pytest.raises(UsageError, match="text-classification writes no text"):
        opened("binary").stream("fine film")


def test_windows_that_would_not_move_on_are_refused(opened: Opened) -> None:
    with pytest.raises(UsageError, match=r"window_overlap = 30: .*\n.*legal: under"):
        opened("entities").answers([LONG], window_overlap=30)


def test_reasons_are_told_once_each() -> None:
    class Some(requested.Windowed):
        pass

    reasons: list[requested.Reason] = [
        (False, ("window_overlap",), "never"),
        (True, ("window_overlap",), "so it is"),
        (True, ("window_overlap",), "again"),
    ]
    assert list(requested.idle(Some(window_overlap=3), reasons)) == ["window_overlap has no effect: so it is"]
    assert list(requested.idle(Some(), reasons)) == []
    assert requested.reading(configs.Model(), Some(window_overlap=3)).window_overlap == 3
