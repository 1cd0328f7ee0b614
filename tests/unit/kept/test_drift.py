"""Drift is found where it is, and seldom where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import logs
import small
from tunesmith.errors import BundleError
from tunesmith.kept import drift
from tunesmith.kept.drift import Check
from tunesmith.kept.prediction import Prediction


@pytest.fixture(scope="module")
def folder(model: Callable[..., Path]) -> Path:
    return model("bert")


def looked(folder: Path, found: list[Prediction], **bundle: Any) -> dict[str, Check]:
    origin = logs.origin(folder, **bundle)
    return {check.name: check for check in drift.checks(origin, drift.read(origin, found), folder)}


def same(count: int, seed: int, **more: Any) -> list[Prediction]:
    rows = small.rows("multi-class", count, seed)
    return logs.predictions(rows, logs.answered(rows, seed, **more), judged=True)


def test_of_two_hundred_logs_like_the_training_hardly_one_in_twenty_raises_an_alarm(folder: Path) -> None:
    flagged = sum(
        any(
            check.verdict == "drifted"
            for check in looked(folder, same(300, 1000 + 7 * n), seed=100_000 + 3 * n).values()
        )
        for n in range(200)
    )
    assert flagged <= 15  # 5 % are 10; more than 15 would come by chance once in thirty times


def test_every_check_has_its_say(folder: Path) -> None:
    found = looked(folder, same(300, 5))
    assert list(found) == ["labels", "length", "vocabulary", "unseen words", "confidence", "calibration"]
    assert all(check.verdict == "no sign of drift" for check in found.values()), found


def test_another_mix_of_labels_is_found(folder: Path) -> None:
    rows = [row for row in small.rows("multi-class", 900, 5) if row["label"] != "money"][:300]
    found = looked(folder, logs.predictions(rows, logs.answered(rows, 1)))
    assert found["labels"].verdict == "drifted"
    assert "money" in found["labels"].said
    assert found["length"].verdict == "no sign of drift"


def test_longer_texts_are_found(folder: Path) -> None:
    rows = [{**row, "text": f"{row['text']} {row['text']}"} for row in small.rows("multi-class", 200, 5)]
    found = looked(folder, logs.predictions(rows, logs.answered(rows, 1)))
    assert found["length"].verdict == "drifted"
    assert found["length"].effect is not None
    assert found["length"].effect > 0.3
    assert found["labels"].verdict == "no sign of drift"


def test_words_of_another_world_are_found(folder: Path) -> None:
    rows = [{**row, "text": row["text"].replace("the", "电影")} for row in small.rows("multi-class", 300, 5)]
    found = looked(folder, logs.predictions(rows, logs.answered(rows, 1)))
    assert found["vocabulary"].verdict == "drifted"
    assert "' stands in 0.0% of the texts" in found["vocabulary"].said
    assert found["unseen words"].verdict == "drifted"


def test_answers_that_are_less_sure_are_found(folder: Path) -> None:
    found = looked(folder, same(200, 5, sure=lambda chance: chance.betavariate(4, 3)))
    assert found["confidence"].verdict == "drifted"
    assert found["calibration"].verdict == "no sign of drift"


def test_answers_that_are_surer_than_right_are_found(folder: Path) -> None:
    rows = small.rows("multi-class", 200, 5)
    wrong = [{**answer, "label": "food"} for answer in logs.answered(rows, 1)]
    found = looked(folder, logs.predictions(rows, wrong, judged=True))
    assert found["calibration"].verdict == "drifted"
    assert found["calibration"].effect is not None
    assert found["calibration"].effect < -0.3


def test_of_few_rows_it_says_how_many_are_needed(folder: Path) -> None:
    found = looked(folder, same(15, 5))
    assert {check.verdict for check in found.values()} == {"too few rows to say"}
    assert "15 rows, and 8" in found["length"].said
    few = looked(folder, same(300, 5), validation=30)
    assert few["confidence"].verdict == "too few rows to say"
    assert "remembers 30 validation rows, and more than" in few["confidence"].said
    assert few["length"].verdict == "no sign of drift"


def test_a_large_change_shows_in_few_rows(folder: Path) -> None:
    rows = [{**row, "text": " ".join([row["text"]] * 3)} for row in small.rows("multi-class", 30, 5)]
    found = looked(folder, logs.predictions(rows, logs.answered(rows, 1)))
    assert found["length"].verdict == "drifted"


def test_a_bundle_that_remembers_nothing_says_so(folder: Path) -> None:
    from dataclasses import replace

    origin = replace(logs.origin(folder), training=None)
    with pytest.raises(BundleError, match=r"has no training\.json"):
        drift.checks(origin, drift.read(origin, []), folder)


def test_what_cannot_be_read_is_counted(folder: Path) -> None:
    origin = logs.origin(folder)
    asked = drift.read(
        origin, [logs.prediction(input={"no": 1}), logs.prediction(answer={"choices": []}), logs.prediction()]
    )
    assert (len(asked.predictions), asked.unread) == (1, 2)
