"""A server keeps what it answers, as far as it is asked to, and never waits for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import logs
from served import Served, running
from serving_waits import until
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
        usual, go = recorder._rows_of, threading.Event()
        recorder._rows_of = lambda thing: (go.wait(20), usual(thing))[1]
        request = server.post("/v1/predict/reviews", {"inputs": "a fine film"}).body["id"]
        early = server.post("/v1/feedback", {"id": request, "rating": 1})
        assert (early.status, early.body["error"]["code"]) == (503, "log_unavailable")
        go.set()
        until(lambda: server.post("/v1/feedback", {"id": request, "rating": 1}).status == 200)


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


def test_of_several_answers_the_first_has_the_others_beside_it(model: Callable[..., Path]) -> None:
    origin = logs.origin(model("bert"))
    labels = [{"label": label, "score": 0.5} for label in ("food", "money", "sport", "weather")]
    rows = rows_of(record(inputs=["a", "b"], answers=labels), origin)
    assert [(row.input, row.label, row.answer["alternatives"]) for row in rows] == [
        ("a", "food", [labels[1]]),
        ("b", "sport", [labels[3]]),
    ]
    with pytest.raises(ValueError, match="2 inputs have 3 answers"):
        rows_of(record(inputs=["a", "b"], answers=labels[:3]), origin)


def test_messages_are_read_as_the_answers_of_their_task(bundles: Callable[..., Path]) -> None:
    from tunesmith.kept import origin as origins
    from unit.serving.conftest import WRITES

    origin = origins.of_folder(bundles("conversations", **WRITES))
    given = {"messages": [{"role": "user", "content": "hi"}]}
    said, called = {"role": "assistant", "content": "ho"}, {"role": "assistant", "content": None, "tool_calls": []}
    (row,) = rows_of(record(inputs=[given], answers=[said, said]), origin)
    assert row.answer == {**said, "answer": "ho", "alternatives": [{**said, "answer": "ho"}]}
    assert origin.form.row(given, row.answer)["messages"][-1] == said
    (row,) = rows_of(record(inputs=[given], answers=[called]), origin)
    assert row.answer == called


def test_embeddings_are_not_kept(model: Callable[..., Path]) -> None:
    origin = logs.origin(model("bert"))
    (row,) = rows_of(record(inputs=["a"], answers=[{"label": "food", "score": 0.5, "embedding": [0.0] * 384}]), origin)
    assert row.answer == {"label": "food", "score": 0.5}
    (row,) = rows_of(record(inputs=["a"], answers=[{"text": "of another form"}]), origin)
    assert (row.answer, row.label) == ({"text": "of another form"}, None)
