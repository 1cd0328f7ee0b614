"""What is put is written by a thread of its own; a database that does not answer costs rows, never time."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import logs
from tunesmith.kept import database
from tunesmith.kept.prediction import Prediction, Wanted
from tunesmith.kept.recorder import Recorder
from tunesmith.kept.store import Log


def as_row(thing: Any) -> tuple[list[Prediction], dict[str, Any]]:
    return [logs.prediction(request=str(thing))], {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def recorder(file: Path) -> Iterator[Callable[..., Recorder]]:
    made: list[Recorder] = []

    def of(**options: Any) -> Recorder:
        made.append(Recorder(Log(str(file), make=True), options.pop("rows_of", as_row), **options))
        return made[-1]

    yield of
    for one in made:
        one.close()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("begin exclusive")
    try:
        yield
    finally:
        connection.execute("rollback")
        connection.close()


def kept(file: Path) -> list[str]:
    return sorted(one.request for one in Log(str(file)).open().predictions(Wanted()))


def test_all_is_written_before_it_ends(recorder: Callable[..., Recorder], file: Path) -> None:
    one = recorder()
    for number in range(1200):
        one.put(number)
    one.close()
    assert len(kept(file)) == one.counts.written == 1200
    assert one.counts.lost == 0


def test_flush_waits_for_what_was_put_before(recorder: Callable[..., Recorder], file: Path) -> None:
    one = recorder()
    one.put("a")
    assert one.flush(10)
    assert kept(file) == ["a"]


def test_a_locked_database_costs_nobody_time_and_is_written_once_it_is_free(
    recorder: Callable[..., Recorder], file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "_LOCKED_S", 0.1)
    one = recorder(most_waiting=10)
    one.put("first")
    assert one.flush(10)
    with locked(file), caplog.at_level(logging.WARNING, "tunesmith.kept"):
        began = time.monotonic()
        for number in range(500):
            one.put(number)
        assert time.monotonic() - began < 5
        assert not one.flush(0.5)
        assert one.counts.lost > 400
    assert "does not answer" in caplog.text
    assert one.flush(20)
    one.close()
    assert one.counts.written == len(kept(file)) == 501 - one.counts.lost
    assert "lost since the last message" in caplog.text


def test_a_database_that_stays_locked_does_not_keep_the_server_from_ending(
    recorder: Callable[..., Recorder], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LOCKED_S", 0.1)
    one = recorder()
    one.put("first")
    assert one.flush(10)
    with locked(file):
        one.put("second")
        began = time.monotonic()
        one.close()
        assert time.monotonic() - began < 5
    assert (one.counts.written, one.counts.lost) == (1, 1)


def test_a_row_that_cannot_be_written_costs_no_other(recorder: Callable[..., Recorder], file: Path) -> None:
    def rows_of(thing: str) -> tuple[list[Prediction], dict[str, Any]]:
        if thing == "broken":
            raise ValueError(thing)
        return [logs.prediction(request=thing, user_name="\ud800" if thing == "bad" else None)], {}

    one = recorder(rows_of=rows_of)
    for thing in ("a", "bad", "broken", "b"):
        one.put(thing)
    one.close()
    assert kept(file) == ["a", "b"]
    assert (one.counts.written, one.counts.lost) == (2, 2)


def test_rows_that_are_too_old_go(recorder: Callable[..., Recorder], file: Path) -> None:
    log = Log(str(file), make=True).open()
    log.add([logs.prediction(request="old"), logs.prediction(request="new", at=time.time() - 3600)], {})
    one = recorder(days=1.0)
    assert one.flush(10)
    assert kept(file) == ["new"]


def test_a_full_disk_costs_rows_alone(
    recorder: Callable[..., Recorder], file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's own bound on the pages of a file gives the error that a full disk gives."""
    one = recorder()
    one.put("first")
    assert one.flush(10)
    import sqlalchemy as sa

    @sa.event.listens_for(one.log._engine, "begin")
    def small(connection: Any) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    with caplog.at_level(logging.WARNING, "tunesmith.kept"):
        for _ in range(40):
            one.put("x" * 100_000)
        assert not one.flush(1)
        one.close()
    assert "full" in caplog.text
    assert one.counts.lost == 40
