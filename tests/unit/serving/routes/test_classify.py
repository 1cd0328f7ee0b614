"""Labels in vLLM's form."""

from __future__ import annotations

from typing import Any

import pytest

from served import Served


def test_every_label_has_its_probability(every_task: Served) -> None:
    texts = ["a fine film", "a dull plot"]
    reply = every_task.post("/classify", {"model": "reviews", "input": texts})
    expected = every_task.serving.models.find("reviews").model.answers(texts)
    assert reply.body["labels"] == ["negative", "positive"]
    for index, (one, answer) in enumerate(zip(reply.body["data"], expected, strict=True)):
        assert (one["index"], one["label"], one["num_classes"]) == (index, answer["label"], 2)
        assert one["probs"][reply.body["labels"].index(one["label"])] == pytest.approx(answer["score"], abs=1e-5)
        assert sum(one["probs"]) == pytest.approx(1)


def test_several_labels_that_hold(every_task: Served) -> None:
    reply = every_task.post("/classify", {"model": "topics", "input": "soup and a goal", "threshold": 0.0})
    (one,) = reply.body["data"]
    assert set(one["labels"]) == set(reply.body["labels"])
    assert one["label"] == one["labels"][0]
    none = every_task.post("/classify", {"model": "topics", "input": "soup", "threshold": 1.0}).body["data"][0]
    assert (none["label"], none["labels"]) == (None, [])


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"model": "reviews", "input": "a", "top_k": 2}, "unknown_parameter", "top_k"),
        ({"model": "stars", "input": "a"}, "unsupported_task", "model"),
        ({"model": "triples", "input": "a"}, "unsupported_task", "model"),
        ({"model": "chat", "input": "a"}, "unsupported_task", "model"),
        ({"model": "reviews"}, "invalid_value", "input"),
    ],
)
def test_what_is_refused(every_task: Served, body: dict[str, Any], code: str, param: str | None) -> None:
    reply = every_task.post("/classify", body)
    assert (reply.status, reply.body["error"]["code"], reply.body["error"]["param"]) == (400, code, param)
