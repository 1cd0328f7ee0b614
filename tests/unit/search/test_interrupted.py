"""Ctrl-C at every place between taking a trial and telling how it ended: none is left running."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import Interrupted
from tunesmith.search import finals, interrupts, queue, run, worker
from tunesmith.search import study as studies
from tunesmith.search.settings import Settings
from tunesmith.search.trial import Bench, Outcome


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests were begun in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def opened(parameters: Callable[..., dict[str, Any]], tmp_path: Path) -> run.Opened:
    ranges = {"train.learning_rate": {"low": 1e-6, "high": 1e-3, "log": True}}
    keywords = parameters("multi-class", count=120, **{"train.epochs": 1, "out": str(tmp_path / "study"), **ranges})
    found = run._anew(None, Settings(seeds=2, trials=2), {}, keywords)
    studies.set_limits(found.study, Settings(trials=2), time.time())
    return found


def worker_of(opened: run.Opened) -> Any:
    return worker._Worker(worker.Order(None, str(opened.folder), opened.study.study_name))


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, and Ctrl-C as soon as it has done its work for the first time."""
    pressed: list[bool] = []

    def pressing(*args: Any, **options: Any) -> Any:
        found = function(*args, **options)
        if not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return found

    return pressing


def trained(self: Any, config: Any, folder: Path, watch: Any) -> Outcome:
    """A trial that takes no time; what it would learn is not what is asked here."""
    scores = {"f1_macro": 0.5 if folder.name.endswith("0000") else 0.9}
    watch(1.0, scores)
    return Outcome(scores, 1, 1, 0.1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("place", "name"),
    [(queue, "take"), (queue, "_is_doubled"), (queue, "beating"), (Bench, "run"), (worker._Worker, "_train")],
    ids=["taken", "asked", "beating", "trained", "scored"],
)
def test_a_trial_that_was_taken_is_never_left_running(
    opened: run.Opened, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    monkeypatch.setattr(Bench, "run", trained)
    monkeypatch.setattr(place, name, after(getattr(place, name)))
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        worker_of(opened).run_trial()
    trials = opened.study.get_trials(deepcopy=False)
    assert not queue.running(trials)
    put_back = [one for one in queue.waiting(trials) if queue._AGAIN in one.user_attrs]
    assert len(put_back) + len(queue.complete(trials)) == 1
    monkeypatch.undo()
    monkeypatch.setattr(Bench, "run", trained)
    again = worker_of(opened)
    while again.run_trial():
        pass
    assert len(queue.complete(opened.study.get_trials(deepcopy=False))) == 2


def test_a_final_run_that_was_taken_is_put_back(opened: run.Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bench, "run", trained)
    searching = worker_of(opened)
    while searching.run_trial():
        pass
    found = studies.close(searching.study, searching.plan, 1)
    monkeypatch.setattr(queue, "take", after(queue.take))
    with pytest.raises(KeyboardInterrupt):
        finals.run_all(found, searching.study, searching.plan, opened.folder, searching.watchdog)
    trials = found.get_trials(deepcopy=False)
    assert not queue.running(trials)
    assert any(queue._AGAIN in one.user_attrs for one in queue.waiting(trials))


def test_ctrl_c_waits_for_the_end_and_is_heard_at_once_where_it_may() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.put_off():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("held")
    with pytest.raises(KeyboardInterrupt), interrupts.put_off() as at_once, at_once():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("never")
    assert done == ["held"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
