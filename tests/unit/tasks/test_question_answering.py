"""Question answering: what people write as answers, what is wrong with it, and answers with their characters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tiny import write_tiny
from tunesmith import config
from tunesmith.data.prepare import prepare
from tunesmith.errors import DataError, UsageError
from tunesmith.tasks.base import RowError
from tunesmith.tasks.question_answering import Params, Task
from tunesmith.train.run import Run

CONTEXT = "The shop opens at noon. Ann opens it."
ROW: dict[str, Any] = {"question": "When?", "context": CONTEXT, "answers": "noon"}
NOON = [{"text": "noon", "start": 18}]


def read(**more: Any) -> dict[str, Any]:
    return Task(Params()).read_row({**ROW, **more})


# rows


@pytest.mark.parametrize(
    "cell",
    [
        "noon",
        ["noon"],
        [{"text": "noon", "answer_start": 18}],
        {"text": ["noon"], "answer_start": [18]},
        {"text": "noon", "answer_start": 18},
        '{"text": ["noon"], "answer_start": [18]}',
        {"text": [" noon"], "answer_start": [17]},
    ],
)
def test_answers_may_be_written_in_many_ways(cell: Any) -> None:
    assert read(answers=cell)["answers"] == NOON


def test_rows_of_one_context_are_a_group_unless_one_is_given() -> None:
    assert read()["group"] == read(question="Who?", answers="Ann")["group"]
    assert read()["group"] != read(context="Open at noon.")["group"]
    assert read(group=7)["group"] == "7"


def test_a_context_may_hold_no_answer() -> None:
    assert read(answers=[])["answers"] == []
    assert read(answers=None, is_impossible="true")["answers"] == []
    with pytest.raises(RowError, match="are missing; write \\[\\]"):
        read(answers=None)


BAD = [
    ({"question": None}, "question is missing"),
    ({"question": "  "}, "question is blank"),
    ({"context": None}, "context is missing"),
    ({"context": ["a"]}, "context is a list, not text"),
    ({"answers": None}, "answers are none, and is_impossible is false"),
    ({"answers": "midnight"}, "answers are not in the context: 'midnight'"),
    ({"answers": "opens"}, "answers are at several places of the context"),
    ({"answers": {"text": ["noon"], "answer_start": [17]}}, "which starts at 18"),
    ({"answers": {"text": ["noon", "Ann"], "answer_start": [18]}}, "answers have 2 texts and 1 starts"),
    ({"answers": {"text": ["noon"], "answer_start": ["soon"]}}, "answers start at 'soon'"),
    ({"answers": {"answer_start": [18]}}, 'answers have no "text"'),
    ({"answers": [""]}, "answers hold a blank text"),
    ({"is_impossible": True}, "answers are given, and is_impossible is true"),
    ({"is_impossible": "perhaps"}, "neither true nor false"),
]


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_bad_rows_are_each_told_with_their_place_and_reason(suffix: str, tmp_path: Path) -> None:
    found = [{**ROW, "is_impossible": False, "context": f"{CONTEXT} {number}"} for number in range(20)]
    found += [{**ROW, "is_impossible": False, **more} for more, _ in BAD]
    file = tmp_path / f"rows.{suffix}"
    file.write_text(json.dumps(found) if suffix == "json" else "\n".join(map(json.dumps, found)))
    made = config.resolve(flags={"task": "question-answering", "data.train": str(file)}, environment={})
    with pytest.raises(DataError) as caught:
        prepare(made, Task(made.task), tmp_path / "work").stop_on_errors()
    for number, (_, reason) in enumerate(BAD, 21):
        assert f"rows.{suffix}:{number}" in str(caught.value)
        assert reason in str(caught.value)


# answers


@pytest.fixture
def made(run: Callable[..., Run]) -> Run:
    return run("questions", count=240, **{"train.epochs": 8})


def test_answers_are_pieces_of_the_context_as_it_was_given(made: Run) -> None:
    long = "then they saw it here today, very Fine: " * 12 + "the SOUP was  hot "
    asked = [("the food thing", long), ("the money thing", f"\n\n{long} and one Coin more")]
    for (_, context), answer in zip(asked, made.model().answers(asked, allow_no_answer=False, n_best=4), strict=True):
        for candidate in [answer, *answer["alternatives"]]:
            assert context[candidate["start"] : candidate["end"]] == candidate["answer"] != ""
        scores = [answer["score"], *(candidate["score"] for candidate in answer["alternatives"])]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) <= 1 + 1e-6


def test_request_parameters_are_honoured(made: Run) -> None:
    model = made.model()
    asked = [("the food thing", "then the soup was very fine and they saw it")]
    (one,) = model.answers(asked, allow_no_answer=False, max_answer_length=1)
    assert len(one["answer"].split()) == 1
    assert "alternatives" not in one
    (none,) = model.answers(asked, allow_no_answer=True, null_threshold=0.0)
    assert none == {"answer": "", "start": None, "end": None, "score": none["score"]}
    (some,) = model.answers(asked, allow_no_answer=True, null_threshold=1.0)
    assert some["answer"]
    for illegal in ({"n_best": 0}, {"null_threshold": 2}, {"max_answer_length": 0}, {"stride": 3}):
        with pytest.raises(UsageError):
            model.answers(asked, **illegal)


def test_a_threshold_for_no_answer_is_tuned_only_where_rows_have_none(made: Run, run: Callable[..., Run]) -> None:
    assert len(made.model().target.thresholds) == 1
    assert 0 <= made.model().target.thresholds[0] <= 1
    assert not run("questions", out="plain", **{"task.tune_null_threshold": False}).model().target.thresholds


def test_chinese_answers_come_with_their_characters(tmp_path: Path) -> None:
    context = "商店中午开门。\u3000王安开门，她每天都来。"
    rows = [{"question": "谁开门？", "context": f"{context}{number}", "answers": "王安"} for number in range(40)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    base = write_tiny(tmp_path / "base", "bert", [f"{row['question']}{row['context']}" for row in rows])
    quick = {"train.epochs": 8, "train.learning_rate": 3e-3, "train.threads": 1, "model.window_overlap": 8}
    done = ts.train(
        str(file), task="question-answering", out=str(tmp_path / "run"), **{"model.base": str(base), **quick}
    )
    assert done.report.metrics["exact_match"] == 1
    (answer,) = done.model().answers([("谁开门？", context)])
    assert answer["answer"] == "王安" == context[answer["start"] : answer["end"]]
