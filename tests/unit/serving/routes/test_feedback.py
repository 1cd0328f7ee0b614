"""What people say of answers: checked, kept beside them, and only for the key that asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from served import Served, running
from tunesmith.kept.store import Log
from tunesmith.serving import keys


def said(server: Served, body: dict[str, Any], **headers: str) -> Any:
    return server.post("/v1/feedback", body, **headers)


def test_the_last_that_is_said_of_an_answer_counts(bundles: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with running({"reviews": bundles("binary")}, **{"prediction-log": f"sqlite:///{file}"}) as server:
        reply = server.post("/v1/predict/reviews", {"inputs": ["a fine film", "a dull plot"], "user": "u7"})
        request = reply.body["id"]
        assert said(server, {"id": request, "input": 1, "label": "positive"}).status == 200
        last = said(server, {"id": request, "input": 1, "label": "negative", "rating": -1, "comment": "no"})
        assert last.body == {"id": request, "input": 1, "kept": True, "truth": {"label": "negative"}}
        found = Log(str(file)).open().find(request, 1, "")
        assert found is not None
        assert found.feedback is not None
        assert (found.feedback.truth, found.feedback.rating) == ({"label": "negative"}, -1)
        assert (found.user_name, found.input, found.answer) == ("u7", "a dull plot", reply.body["answers"][1])
        other = Log(str(file)).open().find(request, 0, "")
        assert other is not None
        assert other.feedback is None


@pytest.mark.parametrize(
    ("more", "code", "part"),
    [
        ({"label": "positiv"}, "invalid_value", "did you mean 'positive'"),
        ({"answer": "positive"}, "invalid_value", "label"),
        ({"rating": 2}, "invalid_value", "rating"),
        ({"lable": "positive"}, "unknown_parameter", "label"),
        ({}, "invalid_value", "nothing is said"),
        ({"input": 5, "rating": 1}, "not_found", "input 5"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    bundles: Callable[..., Path], tmp_path: Path, more: dict[str, Any], code: str, part: str
) -> None:
    with running({"reviews": bundles("binary")}, **{"prediction-log": str(tmp_path / "log.db")}) as server:
        request = server.post("/v1/predict/reviews", {"inputs": "a fine film"}).body["id"]
        reply = said(server, {"id": request, **more})
        assert reply.body["error"]["code"] == code
        assert reply.status == (404 if code == "not_found" else 400)
        assert part in reply.body["error"]["message"]


def test_a_key_speaks_of_its_own_requests_alone(bundles: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    mine, other = (
        {"Authorization": f"Bearer {keys.add(file, name, ('infer',))}"} for name in ("mine", "other")
    )  # fmt: skip
    options = {"prediction-log": str(tmp_path / "log.db"), "keys": str(file)}
    with running({"reviews": bundles("binary")}, **options) as server:
        request = server.post("/v1/predict/reviews", {"inputs": "a fine film"}, **mine).body["id"]
        body = {"id": request, "rating": 1}
        assert said(server, body, **other).body["error"]["code"] == "not_found"
        assert said(server, body).status == 401
        assert said(server, body, **mine).status == 200


def test_without_a_log_there_is_nothing_to_speak_of(bundles: Callable[..., Path]) -> None:
    with running({"reviews": bundles("binary")}) as server:
        reply = said(server, {"id": "x", "rating": 1})
        assert reply.status == 404
        assert "--prediction-log" in reply.body["error"]["message"]


TRUTHS: dict[str, Any] = {
    "multi-label": ({"label": ["sport", "food"]}, {"labels": ["sport", "food"]}),
    "regression": ({"label": 1.5}, {"value": 1.5}),
    "alike": ({"label": 3}, {"score": 3.0}),
    "questions": ({"answer": "soup"}, {"answer": "soup", "start": 2, "end": 6}),
    "entities": (
        {"answer": [{"start": 2, "end": 6, "type": "food"}]},
        {"entities": [{"start": 2, "end": 6, "type": "food"}]},
    ),
    "marked": ({"label": "Other"}, {"label": "Other"}),
    "translations": ({"answer": "puos"}, {"translation": "puos"}),
    "conversations": ({"answer": "the food thing"}, {"answer": "the food thing"}),
}
ASKED: dict[str, Any] = {
    "alike": {"text": "a goal", "text_pair": "a team"},
    "questions": {"question": "the food thing", "context": "a soup it was"},
    "marked": "a <e1>soup</e1> with <e2>bread</e2>",
}


@pytest.mark.parametrize("kind", TRUTHS)
def test_the_truth_of_every_task_is_kept_in_its_own_form(
    bundles: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    from unit.serving.conftest import WRITES

    body, truth = TRUTHS[kind]
    more = WRITES if kind in ("translations", "conversations") else {}
    with running({"m": bundles(kind, **more)}, **{"prediction-log": str(tmp_path / "log.db")}) as server:
        reply = server.post("/v1/predict/m", {"inputs": ASKED.get(kind, "a soup it was")})
        assert reply.status == 200, reply.body
        kept = said(server, {"id": reply.body["id"], **body})
        assert kept.status == 200, kept.body
        assert kept.body["truth"] == truth
