"""Hugging Face's own client is pointed here, and every task answers in its form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from served import Served


@pytest.fixture(scope="module")
def client(every_task: Served) -> Any:
    return lambda model: InferenceClient(model=f"{every_task.url}/hf/{model}")


def model(server: Served, name: str) -> Any:
    return server.serving.models.find(name).model


def test_labels(every_task: Served, client: Any) -> None:
    expected = model(every_task, "reviews").answers(["a fine film"], top_k=2)[0]["top"]
    found = client("reviews").text_classification("a fine film")
    assert [(one.label, one.score) for one in found] == [
        (one["label"], pytest.approx(one["score"])) for one in expected
    ]
    few = client("reviews").text_classification("a fine film", top_k=1, function_to_apply="softmax")
    assert len(few) == 1


def test_a_list_of_texts_gives_a_list_for_each(every_task: Served) -> None:
    reply = every_task.post("/hf/reviews", {"inputs": ["a fine film", "a dull plot"]})
    assert [len(one) for one in reply.body] == [2, 2]
    assert {entry["label"] for one in reply.body for entry in one} == {"positive", "negative"}
    assert reply.headers["x-engine"] == "pytorch"


def test_the_label_that_was_decided_on_stands_first(every_task: Served) -> None:
    reply = every_task.post("/hf/reviews", {"inputs": "a fine film", "parameters": {"threshold": 1.0}})
    assert next(entry["label"] for entry in reply.body[0]) == "unknown"
    assert len(reply.body[0]) == 3


def test_several_labels_and_numbers(every_task: Served) -> None:
    many = every_task.post("/hf/topics", {"inputs": "soup goal"}).body[0]
    assert {entry["label"] for entry in many} == {"sport", "food", "money", "weather"}
    (number,) = every_task.post("/hf/stars", {"inputs": "a fine film"}).body[0]
    expected = model(every_task, "stars").answers(["a fine film"])[0]["value"]
    assert number == {"label": "value", "score": pytest.approx(expected, abs=1e-5)}


def test_entities(every_task: Served, client: Any) -> None:
    text = "the soup was one more bank"
    found = client("names").token_classification(text, aggregation_strategy="average")
    expected = model(every_task, "names").answers([text], aggregation="mean")[0]["entities"]
    assert [(one.entity_group, one.word, one.start) for one in found] == [
        (one["type"], one["text"], one["start"]) for one in expected
    ]
    words = every_task.post("/hf/names", {"inputs": text, "parameters": {"aggregation_strategy": "none"}}).body
    assert [one["word"] for one in words] == text.split()
    assert set(words[0]) == {"entity", "score", "word", "start", "end"}


def test_answers_to_questions(every_task: Served, client: Any) -> None:
    question, context = "the food thing", "a film and soup here"
    one = client("questions").question_answering(question, context, handle_impossible_answer=False)
    assert context[one.start : one.end] == one.answer != ""
    several = client("questions").question_answering(question, context, top_k=2, max_answer_len=3)
    assert len(several) == 2


def test_sentences_beside_others(every_task: Served, client: Any) -> None:
    others = ["soup with salt", "a goal"]
    found = client("alike").sentence_similarity("bread and soup", others)
    pairs = [{"text": "bread and soup", "text_pair": other} for other in others]
    expected = [answer["score"] for answer in model(every_task, "alike").answers(pairs)]
    assert found == pytest.approx(expected, abs=1e-5)
    vectors = client("alike").feature_extraction(others)
    assert np.asarray(vectors).shape[0] == 2


def test_texts(every_task: Served, client: Any) -> None:
    assert client("translations").translation("goal").translation_text is not None
    assert client("summaries").summarization("a film with rain").summary_text is not None
    written = client("chat").text_generation("a film", max_new_tokens=3)
    assert written == model(every_task, "chat").answers(["a film"], max_tokens=3)[0]["answer"]
    asked = {"inputs": "a film", "parameters": {"num_return_sequences": 2, "temperature": 1.0, "seed": 3}}
    assert len(every_task.post("/hf/chat", asked).body[0]) == 2


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"inputs": "a", "parameters": {"treshold": 1}}, "unknown_parameter", "treshold"),
        ({"inputs": "a", "parametrs": {}}, "unknown_parameter", "parametrs"),
        ({"inputs": "a", "options": {"model": "chat"}}, "unknown_parameter", "model"),
        ({"inputs": "a", "options": {"use_cash": True}}, "unknown_parameter", "use_cash"),
        ({"inputs": "a", "parameters": {"function_to_apply": "relu"}}, "invalid_value", "activation"),
        ({"inputs": "a", "parameters": {"function_to_apply": "none", "activation": "none"}}, "invalid_value", "function_to_apply"),
        ({}, "invalid_value", "inputs"),
    ],
)  # fmt: skip
def test_what_is_refused(every_task: Served, body: dict[str, Any], code: str, param: str | None) -> None:
    reply = every_task.post("/hf/reviews", body)
    assert (reply.status, reply.body["code"], reply.body["param"]) == (400, code, param)


def test_the_client_tells_what_is_wrong(client: Any) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client("reviews").text_classification("a fine film", top_k=-1)
    assert "top_k" in str(caught.value)
    assert caught.value.server_message is not None
    assert "{" not in caught.value.server_message
    with pytest.raises(HfHubHTTPError, match="there is no model 'none'"):
        client("none").text_classification("a fine film")


def test_what_is_dropped_is_told_in_a_header(every_task: Served) -> None:
    body = {"inputs": "a", "parameters": {"treshold": 1}, "options": {"on_unsupported": "drop"}}
    reply = every_task.post("/hf/reviews", body)
    assert (reply.status, reply.headers["x-dropped-parameters"]) == (200, "treshold")
    strange = every_task.post("/hf/reviews", {**body, "parameters": {"é\r\nx: y": 1}})
    assert (strange.status, strange.headers["x-dropped-parameters"]) == (200, "\\u00e9\\r\\nx: y")
