"""The Open Inference Protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from served import Served, running
from tunesmith.serving import keys


def tensor(*texts: str, name: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(texts)], "datatype": "BYTES", "data": list(texts), **more}


def infer(server: Served, model: str, *tensors: dict[str, Any], **more: Any) -> Any:
    reply = server.post(f"/v2/models/{model}/infer", {"inputs": list(tensors), **more})
    return {one["name"]: one for one in reply.body["outputs"]} if reply.status == 200 else reply.body["error"]


def test_health_and_what_there_is(every_task: Served) -> None:
    assert every_task.get("/v2/health/live").body == {"live": True}
    assert every_task.get("/v2/health/ready").body == {"ready": True}
    assert every_task.get("/v2").body["name"] == "tunesmith"
    assert every_task.get("/v2/models/reviews/ready").body == {"name": "reviews", "ready": True}
    told = every_task.get("/v2/models/reviews").body
    assert told["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [(one["name"], one["shape"]) for one in told["outputs"]] == [
        ("label", [-1]), ("scores", [-1, 2]), ("json", [-1]),
    ]  # fmt: skip
    assert told["parameters"]["labels"] == ["negative", "positive"]
    assert every_task.get("/v2/models/none/ready").status == 404


def test_labels_and_scores_are_tensors(every_task: Served) -> None:
    texts = ["a fine film", "a dull plot"]
    found = infer(every_task, "reviews", tensor(*texts))
    expected = every_task.serving.models.find("reviews").model.answers(texts)
    assert found["label"]["data"] == [answer["label"] for answer in expected]
    assert found["scores"]["shape"] == [2, 2]
    assert sum(found["scores"]["data"]) == pytest.approx(2)
    assert json.loads(found["json"]["data"][0])["label"] == expected[0]["label"]
    column = infer(every_task, "reviews", tensor(*texts, shape=[2, 1], data=[[text] for text in texts]))
    assert column["label"] == found["label"]


def test_outputs_that_are_wanted_and_parameters(every_task: Served) -> None:
    body = {"inputs": [tensor("a")], "outputs": [{"name": "label"}], "parameters": {"threshold": 1.0}, "id": "mine"}
    reply = every_task.post("/v2/models/reviews/infer", body).body
    assert [one["name"] for one in reply["outputs"]] == ["label"]
    assert reply["outputs"][0]["data"] == ["unknown"]
    assert reply["id"] == "mine"
    assert json.loads(reply["parameters"]["effective_parameters"])["threshold"] == 1.0


def test_every_task_has_its_own_outputs(every_task: Served) -> None:
    question, context = tensor("the food thing", name="question"), tensor("a film and soup", name="context")
    assert set(infer(every_task, "questions", question, context)) == {"answer", "score", "start", "end", "json"}
    assert set(infer(every_task, "stars", tensor("a"))) == {"value", "json"}
    assert set(infer(every_task, "alike", tensor("a"))) == {"embedding", "json"}
    assert set(infer(every_task, "alike", tensor("a"), tensor("b", name="text_pair"))) == {"score", "json"}
    assert set(infer(every_task, "names", tensor("a"))) == {"json"}
    assert set(infer(every_task, "chat", tensor("a", name="messages"))) == {"text", "json"}
    vectors = infer(every_task, "alike", tensor("a", "b"))["embedding"]
    assert len(vectors["data"]) == vectors["shape"][0] * vectors["shape"][1]


@pytest.mark.parametrize(
    ("tensors", "more", "told"),
    [
        ([tensor("a", name="txt")], {}, "'txt' is no input of the model"),
        ([tensor("a"), tensor("a")], {}, "'text' stands there twice"),
        ([tensor("a", shape=[2])], {}, "'text' holds 1 texts, and its shape says 2"),
        ([tensor("a", shape=[1, 2])], {}, "'text' has the shape [1, 2]"),
        ([tensor("a", shape=[])], {}, "'text' has the shape []"),
        ([tensor("a", shape=[1, 1], data=[["a", "b"]])], {}, "are not of its shape"),
        ([tensor("a", data=[1])], {}, "holds what is no text"),
        ([tensor("a", datatype="FP32", data=[0.5])], {}, "Input should be 'BYTES'"),
        ([tensor("a", parameters={"binary_data_size": 4})], {}, "the parameter 'binary_data_size', which is unknown"),
        ([tensor("a")], {"outputs": [{"name": "lable"}]}, "there is no output 'lable'"),
        ([tensor("a")], {"parameters": {"treshold": 1}}, "did you mean 'threshold'"),
        ([tensor("a")], {"parameters": {"binary_data_output": True}}, "unknown parameter 'binary_data_output'"),
        ([tensor("a")], {"output": []}, "did you mean 'outputs'"),
        ([], {}, "at least 1 item"),
    ],
)  # fmt: skip
def test_what_is_refused(every_task: Served, tensors: list[Any], more: dict[str, Any], told: str) -> None:
    assert told in infer(every_task, "reviews", *tensors, **more)


def test_lengths_that_differ(every_task: Served) -> None:
    error = infer(every_task, "pairs", tensor("a", "b"), tensor("a", name="text_pair"))
    assert "different lengths" in error


def test_an_error_is_a_text_with_its_code_beside(every_task: Served) -> None:
    """As the protocol has it, and as its clients read it: they show what stands in ``error``."""
    reply = every_task.post("/v2/models/reviews/infer", {"inputs": [tensor("a", name="txt")]})
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert reply.body["error"] == "inputs: 'txt' is no input of the model (inputs: text)"
    beside = {name: value for name, value in reply.body.items() if name != "error"}
    assert beside == {"type": "invalid_request_error", "param": "inputs", "code": "invalid_value"}
    several = every_task.post("/v2/models/reviews/infer", {"outputs": 1}).body
    assert {one["param"] for one in several["problems"]} == {"inputs", "outputs"}
    for path, code in (("/v2/models/none", "model_not_found"), ("/v2/models/reviews/versions/1/infer", "not_found")):
        body = every_task.get(path).body
        assert (type(body["error"]), body["code"]) == (str, code)
    assert every_task.post("/v2/models/reviews/infer", b"{").body["code"] == "invalid_json"
    assert every_task.get("/v3").body["error"]["code"] == "not_found"


def test_every_route_but_health_and_ready_wants_a_key(bundles: Any, tmp_path: Path) -> None:
    key = keys.add(tmp_path / "keys.json", "me", ("infer",))
    with running({"reviews": bundles("binary")}, keys=str(tmp_path / "keys.json")) as server:
        paths = ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/reviews", "/openapi.json", "/v1/parameters")
        for path in paths:
            assert server.get(path).status == 401, path
            assert server.get(path, Authorization=f"Bearer {key}").status == 200, path
        assert server.get("/health").status == server.get("/ready").status == 200
