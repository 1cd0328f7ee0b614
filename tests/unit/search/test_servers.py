"""Studies on real servers, started by the test: workers share one study there, and a killed one loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import children
import databases
from databases import answers, free_port, wait_until
from tunesmith.search import queue, storage
from tunesmith.search import study as studies

TRIALS = 6


@pytest.fixture
def folder_of_a_user() -> Iterator[Path]:
    with databases.folder_of_a_user() as folder:
        yield folder


@pytest.fixture
def postgresql(folder_of_a_user: Path) -> Iterator[str]:
    with databases.postgresql(folder_of_a_user) as address:
        yield address


@pytest.fixture
def redis(folder_of_a_user: Path) -> Iterator[str]:
    pytest.importorskip("redis", reason="redis is not installed")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder_of_a_user), "--save", ""]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def sqlite(tmp_path: Path) -> str | None:
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "redis"])
def test_a_worker_killed_with_kill_9_loses_no_finished_trial(
    kind: str, request: pytest.FixtureRequest, parameters: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    url: str | None = request.getfixturevalue(kind)
    folder, output = tmp_path / "study", tmp_path / "output"
    asked = parameters("multi-class", count=120, **{"train.epochs": 3, "train.learning_rate": "1e-4:1e-2:log"})
    where = [] if url is None else [f"--storage={url}"]
    words = ["search", f"--out={folder}", f"--trials={TRIALS}", "--workers=2", "--seeds=2", "--pruner=nothing", *where]
    child = children.start([*words, *(f"--{name}={value}" for name, value in asked.items())], output)

    places: list[Any] = []

    def study() -> Any:
        places.append(storage.open_storage(url, folder))
        return studies.find(places[-1], "study")

    def begun() -> bool:
        assert child.is_alive(), output.read_text()
        return (folder / "search.json").exists()

    wait_until(begun, 600)
    found = study()

    def victim() -> Any:
        assert child.is_alive(), output.read_text()
        trials = found.get_trials(deepcopy=False)
        placed = [one for one in queue.running(trials) if "place" in one.user_attrs]
        return placed[0] if queue.complete(trials) and placed else None

    wait_until(lambda: victim() is not None, 900)
    killed = victim()
    kept = {trial.number: trial.value for trial in queue.complete(found.get_trials())}
    assert kept
    os.kill(killed.user_attrs["place"][1], signal.SIGKILL)
    child.join()
    assert child.exitcode == 0, output.read_text()
    trials = study().get_trials()
    assert {number: trials[number].value for number in kept} == kept
    assert len(queue.complete(trials)) == len(queue.counted(trials)) == TRIALS
    workers = {tuple(trial.user_attrs["place"]) for trial in trials if "place" in trial.user_attrs}
    assert len(workers) in (2, 3)  # the one in the place of the killed one may have come too late for a trial
    if trials[killed.number].state.name == "FAIL":  # it was not done in the meantime
        again = [trial for trial in queue.complete(trials) if trial.params == killed.params]
        assert len(again) == 1
    assert "was killed by signal 9" in output.read_text()
    assert (folder / "report.json").exists()
    for place in places:
        if hasattr(place, "engine"):
            place.remove_session()
            place.engine.dispose()
