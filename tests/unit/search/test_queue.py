"""Trials that processes share: exactly as many as wanted, and none lost with the process that ran it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tunesmith.search import queue, storage

optuna = storage.library()
SPACE = {"x": optuna.distributions.FloatDistribution(0, 1)}


@pytest.fixture
def study(tmp_path: Path) -> Any:
    return optuna.create_study(study_name="a", storage=storage.open_storage(None, tmp_path), direction="maximize")


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_two_takers_get_no_trial_too_many(study: Any, tmp_path: Path) -> None:
    taken: list[int] = []

    def take_all() -> None:
        own = optuna.load_study(study_name="a", storage=storage.open_storage(None, tmp_path))
        while (trial := queue.take(own, 7, SPACE)) is not None:
            taken.append(trial.number)
            own.tell(trial, trial.params["x"])

    threads = [threading.Thread(target=take_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = study.get_trials()
    assert len(queue.counted(trials)) == 7
    assert sorted(taken) == sorted(trial.number for trial in queue.complete(trials))
    assert queue.take(study, 7, SPACE) is None


def test_what_was_given_back_is_tried_again_with_the_same_values(study: Any) -> None:
    study.enqueue_trial({"x": 0.25}, user_attrs={queue.DEFAULTS: True})
    trial = queue.take(study, 2, SPACE)
    queue.give_back(study, queue.frozen(study, trial.number), "it was stopped")
    again = queue.take(study, 1, SPACE)
    assert again.number != trial.number
    assert again.params == {"x": 0.25}
    assert again.user_attrs[queue.DEFAULTS]
    assert queue.LOST not in again.user_attrs
    assert [one.number for one in queue.counted(study.get_trials())] == [again.number]


def test_what_two_workers_give_back_at_once_is_tried_again_once(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    study.enqueue_trial({"x": 0.25})
    lost = queue.frozen(study, queue.take(study, 2, SPACE).number)
    monkeypatch.setattr(study, "tell", lambda *_, **__: None)  # neither sees that the other has told it
    queue.give_back(study, lost, "its worker was killed")
    queue.give_back(study, lost, "its worker was killed")
    monkeypatch.undo()
    queue.give_back(study, queue.frozen(study, lost.number), "its worker was killed", again=False)
    taken = [queue.take(study, 2, SPACE) for _ in range(2)]
    assert [trial.params["x"] == 0.25 for trial in taken] == [True, False]
    assert len(queue.counted(study.get_trials())) == 2


def test_values_that_kill_every_worker_are_given_up(study: Any) -> None:
    study.enqueue_trial({"x": 0.25})
    for _ in range(3):
        trial = queue.take(study, None, SPACE)
        assert trial.params == {"x": 0.25}
        queue.give_back(study, queue.frozen(study, trial.number), "killed")
    assert not queue.waiting(study.get_trials())


def test_a_finished_trial_cannot_be_given_back(study: Any) -> None:
    trial = queue.take(study, None, SPACE)
    running = queue.frozen(study, trial.number)
    study.tell(trial, 1.0)
    queue.give_back(study, running, "too late")
    assert [one.value for one in queue.counted(study.get_trials())] == [1.0]
    assert not queue.waiting(study.get_trials())


def test_a_trial_whose_process_is_gone_is_recovered_at_once(study: Any) -> None:
    mine, other = (queue.take(study, None, SPACE) for _ in range(2))
    other.set_user_attr("place", [storage.here(), dead()])
    assert queue.Watchdog().recover(study) == [other.number]
    trials = study.get_trials()
    assert queue.running(trials) == [trials[mine.number]]
    assert len(queue.waiting(trials)) == 1
    assert trials[other.number].user_attrs[queue.LOST]


def test_a_trial_of_another_machine_is_lost_when_its_beat_stops(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = queue.take(study, None, SPACE)
    trial.set_user_attr("place", ["elsewhere", os.getpid()])
    now = [0.0]
    monkeypatch.setattr(queue.time, "monotonic", lambda: now[0])
    watchdog = queue.Watchdog()
    for beat in range(3):
        trial.set_user_attr("beat", beat)
        now[0] += queue.STALE_S - 1
        assert watchdog.recover(study) == []
    now[0] += queue.STALE_S + 1
    assert watchdog.recover(study) == [trial.number]


def test_a_trial_beats(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BEAT_S", 0.01)
    trial = queue.take(study, None, SPACE)
    with queue.beating(trial):
        for _ in range(500):
            if queue.frozen(study, trial.number).user_attrs.get("beat", 0) >= 2:
                break
            threading.Event().wait(0.02)
    assert queue.frozen(study, trial.number).user_attrs["beat"] >= 2
