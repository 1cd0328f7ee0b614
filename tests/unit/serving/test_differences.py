"""How answers of two versions are compared."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.serving.differences import Differences, agree, score_differences


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"label": "a", "score": 0.9}, {"label": "a", "score": 0.1}, True),
        ({"label": "a", "score": 0.9}, {"label": "b", "score": 0.9}, False),
        ({"labels": ["a", "b"], "scores": [0.9, 0.8]}, {"labels": ["a"], "scores": [0.9]}, False),
        ({"answer": "yes", "seed": 1, "tokens": 3}, {"answer": "yes", "seed": 2, "tokens": 4}, True),
        ({"answer": "yes"}, {"answer": "no"}, False),
        ({"entities": []}, {"entities": [{"start": 1, "end": 2, "type": "x", "score": 0.5}]}, False),
        ({"entities": [{"start": 1, "type": "x", "score": 0.4}]}, {"entities": [{"start": 1, "type": "x", "score": 0.5}]}, True),
        ({"value": 0.5}, {"value": 0.7}, None),
        ({"embedding": [0.5, 0.1]}, {"embedding": [0.4, 0.1]}, None),
    ],
)  # fmt: skip
def test_scores_aside_they_say_the_same_or_not(one: Any, other: Any, same: bool | None) -> None:
    assert agree(one, other) is same
    assert agree(other, one) is same


def test_scores_are_compared_where_both_have_them() -> None:
    one = {"label": "a", "score": 0.9, "top_k": [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}]}
    other = {"label": "b", "score": 0.6, "top_k": [{"label": "b", "score": 0.6}]}
    assert sorted(score_differences(one, other)) == pytest.approx([0.3, 0.3])


def test_what_is_told() -> None:
    found = Differences(keep_texts=True)
    empty = found.told()
    assert (empty["agreement"], empty["mean_score_difference"]) == (None, None)
    assert (empty["current"]["error_rate"], empty["current"]["latency_ms"]) == (None, None)
    one = [{"label": "a", "score": 0.9}, {"label": "a", "score": 0.8}]
    other = [{"label": "a", "score": 0.7}, {"label": "b", "score": 0.8}]
    found.compare(["first", "second"], one, other)
    found.current.answered(one, 0.010)
    found.trial.answered(other, 0.030)
    found.trial.answered(other, 0.050)
    found.trial.failed("engine_failed")
    told = found.told()
    assert (told["compared"], told["agreement"]) == (2, 0.5)
    assert told["mean_score_difference"] == pytest.approx(0.1)
    assert told["trial"]["requests"] == 3
    assert told["trial"]["error_rate"] == pytest.approx(1 / 3)
    assert told["trial"]["last_error"] == "engine_failed"
    assert told["trial"]["labels"] == {"a": 0.5, "b": 0.5}
    assert told["trial"]["latency_ms"] == pytest.approx({"mean": 40, "median": 40, "p95": 49})
    assert told["differing"] == [{"input": "second", "current": one[1], "trial": other[1]}]


def test_texts_are_kept_only_where_they_may_be() -> None:
    found = Differences(keep_texts=False)
    found.compare(["secret"], [{"label": "a"}], [{"label": "b"}])
    assert found.told()["agreement"] == 0
    assert "secret" not in str(found.told())
    assert "secret" not in str(found.examples)


def test_examples_are_few() -> None:
    found = Differences(keep_texts=True)
    for number in range(100):
        found.compare([str(number)], [{"label": "a"}], [{"label": "b"}])
    assert [one["input"] for one in found.told()["differing"]] == [str(number) for number in range(80, 100)]
