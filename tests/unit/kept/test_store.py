"""A log in a database: what is written is read again, thinned out, and refused where it is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import databases
import logs
from tunesmith.errors import SourceError, UsageError
from tunesmith.kept import database
from tunesmith.kept.prediction import Feedback, Wanted
from tunesmith.kept.store import Log, pick_model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(file: Path) -> Log:
    return Log(f"sqlite:///{file}", make=True).open()


def test_what_is_written_is_read_again(log: Log, model: Callable[..., Path]) -> None:
    one = logs.prediction(
        input={"text": '上海 \u0000 "x"'},
        answer={"label": "food", "score": 0.25},
        parameters={"top_k": 1},
        user_name="u",
        label="food",
        score=0.25,
        tokens_read=7,
        latency_s=0.5,
    )
    origin = logs.origin(model("bert"))
    log.add([one], {origin.id: origin})
    log.add([logs.prediction(number=1)], {origin.id: origin})
    found = log.find("r", 0, "")
    assert found is not None
    assert {**found.__dict__, "id": None} == one.__dict__
    assert log.origin("bundle") == origin
    assert log.count(Wanted()) == 2


def test_the_last_feedback_counts_and_a_key_finds_its_own(log: Log) -> None:
    log.add([logs.prediction(key_name="me")], {})
    found = log.find("r", 0, "me")
    assert found is not None
    assert found.id is not None
    log.give(found.id, Feedback(1.0, {"label": "food"}, 0.5, "hm"), "me")
    log.give(found.id, Feedback(2.0, None, -1.0), "me")
    again = log.find("r", 0, "me")
    assert again is not None
    assert again.feedback == Feedback(2.0, None, -1.0)
    assert log.find("r", 0, "you") is None
    assert log.find("r", 1, "me") is None


def test_rows_are_found_by_model_bundle_and_time(log: Log) -> None:
    log.add(
        [logs.prediction(request=f"{n}", at=float(n), model="ab"[n % 2], bundle="xy"[n // 3]) for n in range(6)], {}
    )
    assert [one.request for one in log.predictions(Wanted(model="a"))] == ["4", "2", "0"]
    assert [one.request for one in log.predictions(Wanted(bundle="y", since=4.0))] == ["5", "4"]
    assert [one.request for one in log.predictions(Wanted(most=2))] == ["5", "4"]
    assert list(log.predictions(Wanted(judged=True))) == []
    assert log.models() == {"a": {"x": 2, "y": 1}, "b": {"x": 1, "y": 2}}


def test_old_rows_go_with_their_feedback(log: Log, file: Path) -> None:
    log.add([logs.prediction(request="old", at=1.0), logs.prediction(request="new", at=9.0)], {})
    for request in ("old", "new"):
        found = log.find(request, 0, "")
        assert found is not None
        assert found.id is not None
        log.give(found.id, Feedback(0.0, rating=1.0), "")
    assert log.forget(5.0) == 1
    assert [one.request for one in log.predictions(Wanted())] == ["new"]
    with sqlite3.connect(file) as connection:
        assert connection.execute("select count(*) from feedback").fetchone() == (1,)


def test_the_model_is_named_where_there_are_several(log: Log) -> None:
    with pytest.raises(UsageError, match="empty"):
        pick_model(log, None)
    log.add([logs.prediction(model="a", at=1.0, bundle="x"), logs.prediction(model="a", at=2.0, bundle="y")], {})
    assert pick_model(log, None) == ("a", "y")
    log.add([logs.prediction(model="b")], {})
    with pytest.raises(UsageError, match="one of: a, b"):
        pick_model(log, None)
    with pytest.raises(UsageError, match="no model 'c'"):
        pick_model(log, "c")


def test_what_is_no_log_is_refused(tmp_path: Path, file: Path, log: Log) -> None:
    with pytest.raises(UsageError, match="no such log"):
        Log(str(tmp_path / "missing.db"))
    with pytest.raises(UsageError, match="no such folder"):
        Log(str(tmp_path / "missing" / "log.db"), make=True)
    with pytest.raises(UsageError, match="no address"):
        Log("://")
    with pytest.raises(UsageError, match="driver"):
        Log("nosuch://host/log")
    with pytest.raises(UsageError, match="nowhere kept"):
        Log("sqlite://", make=True)
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("create table t (a)").connection.close()
    with pytest.raises(UsageError, match="no log of predictions"):
        Log(str(other)).open()
    with sqlite3.connect(file) as connection:
        connection.execute("update kept_log set version = 99")
    with pytest.raises(UsageError, match="newer version"):
        Log(str(file)).open()
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    with pytest.raises(SourceError, match="does not answer"):
        Log(str(broken)).open()


def test_passwords_are_not_shown() -> None:
    assert database.shown("postgresql://me:secret@host:5432/log?x=1") == "postgresql://me:***@host:5432/log?x=1"
    assert database.shown("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"


def test_postgresql_does_the_same(model: Callable[..., Path]) -> None:
    origin = logs.origin(model("bert"))
    with databases.folder_of_a_user() as folder, databases.postgresql(folder) as address:
        log = Log(address.replace("postgresql", "postgres"), make=True).open()
        Log(address, make=True).open().close()
        text = "上海 \u0000 x"
        log.add([logs.prediction(input=text, at=float(n), request=f"{n}") for n in range(3)], {origin.id: origin})
        log.add([logs.prediction(request="last", at=90_000.0)], {origin.id: origin})
        found = log.find("1", 0, "")
        assert found is not None
        assert found.id is not None
        assert found.input == text
        log.give(found.id, Feedback(1.0, {"label": "food"}), "")
        log.give(found.id, Feedback(2.0, {"label": "money"}), "")
        (judged,) = log.predictions(Wanted(judged=True))
        assert judged.feedback == Feedback(2.0, {"label": "money"})
        assert log.days(Wanted()) == [(0, 3, pytest.approx(0.9), 1), (1, 1, pytest.approx(0.9), 0)]
        assert pick_model(log, None) == ("topics", "bundle")
        assert log.origin("bundle") == origin
        with pytest.raises(UsageError, match="refuses"):
            log.add([logs.prediction(user_name="a \u0000")], {})
        assert log.forget(2.0) == 2
        assert log.count(Wanted()) == 2
        log.close()
    with pytest.raises(SourceError, match="does not answer"):
        Log(address, make=True).open()
