"""The way of a request: answers, refusals, ids."""

from __future__ import annotations

from served import Served


def test_texts_are_answered_as_the_model_answers_them(served: Served) -> None:
    texts = ["a fine film", "a dull plot"]
    reply = served.post("/v1/predict/reviews", {"inputs": texts})
    assert reply.status == 200, reply.body
    model = served.serving.models.find("reviews").model
    assert reply.body["answers"] == model.answers(texts)
    assert reply.body["effective_parameters"]["top_k"] == 1
    assert reply.headers["x-request-id"]


def test_a_conversation_is_answered(served: Served) -> None:
    reply = served.post("/v1/predict/chat", {"inputs": "a fine film", "max_tokens": 4})
    assert reply.status == 200, reply.body
    assert reply.body["usage"]["completion_tokens"] <= 4


def test_an_unknown_parameter_is_refused_with_the_nearest_name(served: Served) -> None:
    reply = served.post("/v1/predict/reviews", {"inputs": "a film", "treshold": 0.5})
    assert reply.status == 400
    assert reply.body["error"]["code"] == "unknown_parameter"
    assert reply.body["error"]["param"] == "treshold"
    assert "threshold" in reply.body["error"]["message"]
    dropped = served.post("/v1/predict/reviews", {"inputs": "a film", "treshold": 0.5, "on_unsupported": "drop"})
    assert dropped.status == 200
    assert dropped.body["dropped_parameters"] == ["treshold"]


def test_a_path_that_is_not_there(served: Served) -> None:
    assert served.get("/nothing").body["error"]["code"] == "not_found"
    assert served.get("/v1/predict/reviews").body["error"]["code"] == "method_not_allowed"
    assert served.post("/v1/predict/reviewz", {"inputs": "a"}).body["error"]["code"] == "model_not_found"
