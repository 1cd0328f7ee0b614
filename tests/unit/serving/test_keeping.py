"""A server keeps what it answers, as far as it is asked to, and never waits for it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import logs
from served import Served, running
from tunesmith.errors import UsageError
from tunesmith.kept import database
from tunesmith.kept.prediction import Prediction, Wanted
from tunesmith.kept.store import Log
from tunesmith.serving.keeping import rows_of
from tunesmith.serving.record import Record


def kept(file: Path) -> list[Prediction]:
    return list(Log(str(file)).open().predictions(Wanted()))


def test_a_row_for_each_input(bundles: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    with running({"reviews": bundles("binary")}, **{"prediction-log": f"sqlite:///{file}"}) as server:
        body = {"inputs": ["a fine film", {"text": "a dull plot"}], "top_k": 2, "user": "u7"}
        reply = server.post("/v1/predict/reviews", body)
        assert server.post("/v1/predict/reviews", {"inputs": "x", "nonsense": 1}).status == 400
        engine = server.serving.models.find("reviews").engine
    second, first = kept(file)
    assert [first.number, second.number] == [0, 1]
    assert (first.input, second.input) == ("a fine film", {"text": "a dull plot"})
    assert [first.answer, second.answer] == reply.body["answers"]
    assert (first.label, first.score) == (first.answer["label"], pytest.approx(first.answer["score"]))
    assert first.request == reply.body["id"]
    assert (first.model, first.task, first.engine, first.user_name) == ("reviews", "text-classification", engine, "u7")
    assert first.parameters == reply.body["effective_parameters"]
    assert first.tokens_read == reply.body["usage"]["prompt_tokens"]
    assert abs(first.at - time.time()) < 60
    assert 0 < first.latency_s < 60
    assert Log(str(file)).open().origin(first.bundle).columns["label"] == "label"


def test_what_models_write_is_kept_too(bundles: Callable[..., Path], tmp_path: Path) -> None:
    from unit.serving.conftest import WRITES

    file = tmp_path / "log.db"
    with running({"chat": bundles("conversations", **WRITES)}, **{"prediction-log": str(file)}) as server:
        reply = server.post("/v1/predict/chat", {"inputs": "a fine film", "max_tokens": 4})
        assert reply.status == 200
    (one,) = kept(file)
    assert one.answer["answer"] == reply.body["answers"][0]["answer"]
    assert (one.label, one.score) == (None, None)
    assert one.tokens_written == reply.body["usage"]["completion_tokens"]


def test_a_share_of_the_requests(bundles: Callable[..., Path], tmp_path: Path) -> None:
    options = {"prediction-log": str(tmp_path / "log.db"), "prediction-log-share": 0.5}
    with running({"reviews": bundles("binary")}, **options) as server:
        for _ in range(60):
            server.post("/v1/predict/reviews", {"inputs": "a fine film"})
    assert 12 <= len(kept(tmp_path / "log.db")) <= 48  # beyond that once in a million times


def test_nothing_is_kept_without_being_asked_for(served: Served) -> None:
    assert "kept" not in served.serving.observers


def test_a_locked_database_slows_no_answer_and_says_so_to_who_asks_it(
    bundles: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LOCKED_S", 0.2)
    file = tmp_path / "log.db"
    with running({"reviews": bundles("binary")}, **{"prediction-log": str(file)}) as server:
        request = server.post("/v1/predict/reviews", {"inputs": "a fine film"}).body["id"]
        assert server.post("/v1/feedback", {"id": request, "rating": 1}).status == 200
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("begin exclusive")
        began = time.monotonic()
        replies = [server.post("/v1/predict/reviews", {"inputs": "a fine film"}).status for _ in range(20)]
        assert replies == [200] * 20
        assert time.monotonic() - began < 5
        refused = server.post("/v1/feedback", {"id": request, "rating": -1})
        assert (refused.status, refused.body["error"]["code"]) == (503, "log_unavailable")
        assert refused.headers["retry-after"] == "5"
        connection.execute("rollback")
        connection.close()
    assert len(kept(file)) == 21


def test_what_is_not_written_yet_is_not_called_unknown(
    bundles: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.serving import keeping

    monkeypatch.setattr(keeping, "_FLUSH_S", 0.2)
    with running({"reviews": bundles("binary")}, **{"prediction-log": str(tmp_path / "log.db")}) as server:
        recorder = keeping.of(server.serving).recorder
        usual = recorder._rows_of
        recorder._rows_of = lambda thing: (time.sleep(1.0), usual(thing))[1]
        request = server.post("/v1/predict/reviews", {"inputs": "a fine film"}).body["id"]
        early = server.post("/v1/feedback", {"id": request, "rating": 1})
        assert (early.status, early.body["error"]["code"]) == (503, "log_unavailable")
        time.sleep(1.5)
        assert server.post("/v1/feedback", {"id": request, "rating": 1}).status == 200


def test_a_database_that_is_none_is_told_at_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="no such folder"),
        running({}, **{"prediction-log": str(tmp_path / "no" / "log.db")}),
    ):
        pass


def record(**values: object) -> Record:
    usual: dict[str, object] = {
        "id": "r",
        "route": "/v1/predict/{model}",
        "method": "POST",
        "status": 200,
        "at": 0.0,
        "duration_s": 0.1,
        "model": "topics",
    }
    return Record(**{**usual, **values})  # type: ignore[arg-type]


def test_scores_that_are_no_probabilities_are_not_taken_for_such(model: Callable[..., Path]) -> None:
    origin, answer = logs.origin(model("bert")), {"label": "food", "score": 7.5}
    raw = record(inputs=["a"], answers=[answer], parameters={"activation": "none"})
    assert [(row.label, row.score) for row in rows_of(raw, origin)] == [("food", None)]


def test_answers_of_another_form_and_embeddings(model: Callable[..., Path]) -> None:
    origin = logs.origin(model("bert"))
    several = record(inputs=["a"], answers=[{"text": "x"}, {"text": "y"}])
    (row,) = rows_of(several, origin)
    assert (row.input, row.answer, row.label) == ("a", {"choices": [{"text": "x"}, {"text": "y"}]}, None)
    (row,) = rows_of(record(inputs=["a"], answers=[{"label": "food", "score": 0.5, "embedding": [0.0] * 384}]), origin)
    assert row.answer == {"label": "food", "score": 0.5}
