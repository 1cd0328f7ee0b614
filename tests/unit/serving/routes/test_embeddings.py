"""Embeddings by OpenAI's own client, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from served import Served

TEXTS = ["a fine film", "soup with salt"]


def test_openais_client_gets_what_the_model_gives(every_task: Served) -> None:
    client = openai.OpenAI(base_url=f"{every_task.url}/v1", api_key="none")
    expected = every_task.serving.models.find("alike").model.answers(TEXTS)
    for more in ({}, {"encoding_format": "float"}):
        found = client.embeddings.create(model="alike", input=TEXTS, **more)  # its own default is base64
        for one, answer in zip(found.data, expected, strict=True):
            assert one.embedding == pytest.approx(answer["embedding"], abs=1e-6)
        assert [one.index for one in found.data] == [0, 1]
        assert found.usage.prompt_tokens == found.usage.total_tokens > 0


def test_dimensions_and_length(every_task: Served) -> None:
    reply = every_task.post("/v1/embeddings", {"model": "alike", "input": "a film", "dimensions": 4})
    (one,) = reply.body["data"]
    assert len(one["embedding"]) == 4
    assert math.hypot(*one["embedding"]) == pytest.approx(1, abs=1e-5)
    assert reply.body["effective_parameters"]["dimensions"] == 4
    raw = every_task.post("/v1/embeddings", {"model": "alike", "input": "a film", "normalize": False})
    assert math.hypot(*raw.body["data"][0]["embedding"]) != pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"model": "alike", "input": [1, 2, 3]}, "invalid_value", "input"),
        ({"model": "alike", "input": [[1, 2], [3]]}, "invalid_value", "input"),
        ({"model": "alike", "input": []}, "invalid_value", "input"),
        ({"model": "alike", "input": ["a", None]}, "invalid_value", "input"),
        ({"model": "alike", "input": "a", "dimensions": 10_000}, "invalid_value", "dimensions"),
        ({"model": "alike", "input": "a", "dimension": 4}, "unknown_parameter", "dimension"),
        ({"model": "alike", "input": "a", "embeddings": True}, "unknown_parameter", "embeddings"),
        ({"model": "alike", "input": "a", "encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"model": "reviews", "input": "a"}, "unsupported_task", "model"),
        ({"model": "cross", "input": "a"}, "unsupported_task", "model"),
        ({"model": "chat", "input": "a"}, "unsupported_task", "model"),
        ({"input": "a"}, "missing_value", "model"),
    ],
)
def test_what_is_refused(every_task: Served, body: dict[str, Any], code: str, param: str) -> None:
    reply = every_task.post("/v1/embeddings", body)
    assert (reply.status, reply.body["error"]["code"], reply.body["error"]["param"]) == (400, code, param)


def test_token_ids_are_refused_in_words(every_task: Served) -> None:
    reply = every_task.post("/v1/embeddings", {"model": "alike", "input": [5, 6]})
    assert reply.body["error"]["message"] == "input: token ids are not taken (send texts)"
