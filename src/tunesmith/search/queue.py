"""The trials of a study as work that several processes share: who may begin one, and what becomes of those left behind.

A process that dies leaves its trial running. Any other one that sees this, marks the trial as lost and puts its values
back into the queue; what was finished is in the storage and stays.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tunesmith.search import storage

LOST, REASON, DEFAULTS = "lost", "reason", "defaults"
"""Names of trials' attributes: why one does not count, why one failed, and that one stands where the defaults are."""

BEAT_S = 10.0
STALE_S = 90.0
_MOST_ATTEMPTS = 3
_PLACE, _BEAT, _ATTEMPT, _AGAIN = "place", "beat", "attempt", "again_of"


def counted(trials: Iterable[Any]) -> list[Any]:
    """The trials that were begun and not lost; those waiting are not among them."""
    return [trial for trial in trials if trial.state.name != "WAITING" and LOST not in trial.user_attrs]


def finished(trials: Iterable[Any]) -> list[Any]:
    """The counted trials that have ended: complete, pruned or failed."""
    return [trial for trial in counted(trials) if trial.state.is_finished()]


def complete(trials: Iterable[Any]) -> list[Any]:
    """The trials that have a score."""
    return [trial for trial in trials if trial.state.name == "COMPLETE"]


def waiting(trials: Iterable[Any]) -> list[Any]:
    """The trials whose values are decided and that nobody has begun."""
    return [trial for trial in trials if trial.state.name == "WAITING"]


def running(trials: Iterable[Any]) -> list[Any]:
    """The trials that somebody works on."""
    return [trial for trial in trials if trial.state.name == "RUNNING"]


def take(study: Any, most: int | None, distributions: Mapping[str, Any]) -> Any | None:
    """A trial to run; None where enough were begun. Two processes that take the last one at once do not get one too many.

    Args:
        study: of Optuna.
        most: trials in all; None: no limit.
        distributions: of the values to choose.
    """
    if most is not None and len(counted(study.get_trials(deepcopy=False))) >= most:
        return None
    trial = study.ask(dict(distributions))
    earlier = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
    if _is_doubled(trial, earlier):
        give_back(study, frozen(study, trial.number), "another worker had put it back, too", again=False)
        return take(study, most, distributions)
    if most is not None and len(counted(earlier)) >= most:
        found = frozen(study, trial.number)
        give_back(study, found, "others had taken the last trial", again="fixed_params" in found.system_attrs)
        return None
    trial.set_user_attr(_PLACE, [storage.here(), os.getpid()])
    return trial


def _is_doubled(trial: Any, earlier: Iterable[Any]) -> bool:
    """Whether a lost trial was put back twice, by workers that found it at once, and this is the second time."""
    of = trial.user_attrs.get(_AGAIN)
    return of is not None and any(other.user_attrs.get(_AGAIN) == of for other in earlier)


def frozen(study: Any, number: int) -> Any:
    """A trial as it stands in the storage."""
    return next(trial for trial in study.get_trials(deepcopy=False) if trial.number == number)


@contextmanager
def beating(trial: Any) -> Iterator[None]:
    """Inside, others see that this trial is being worked on."""
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(BEAT_S):
            count += 1
            trial.set_user_attr(_BEAT, count)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def give_back(study: Any, trial: Any, why: str, *, again: bool = True) -> None:
    """Say that a trial did not come to its end through no fault of its values, and let them be tried again.

    Args:
        study: of Optuna.
        trial: a running trial of it.
        why: in words, for the report.
        again: whether to put its values back into the queue.
    """
    optuna = storage.library()
    before = dict(trial.user_attrs)
    try:
        storage.of(study).set_trial_user_attr(trial._trial_id, LOST, why)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    except (ValueError, RuntimeError, optuna.exceptions.OptunaError):
        return  # somebody else has just done so
    attempt = before.get(_ATTEMPT, 1) + 1
    if again and attempt <= _MOST_ATTEMPTS:
        kept = {name: value for name, value in before.items() if name not in (_PLACE, _BEAT, LOST, REASON)}
        fixed = trial.params or trial.system_attrs.get("fixed_params", {})
        study.enqueue_trial(fixed, user_attrs={**kept, _ATTEMPT: attempt, _AGAIN: trial.number})


class Watchdog:
    """Finds running trials that nobody works on any more.

    A trial whose process number is not in use on this very machine is lost at once. One of another machine is lost when its
    beat has not changed for 90 seconds by the clock of this machine, so that clocks need not agree.
    """

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, float]] = {}

    def recover(self, study: Any) -> list[int]:
        """Give back all trials that are lost; their numbers."""
        lost = [trial for trial in running(study.get_trials(deepcopy=False)) if self._is_lost(trial)]
        for trial in lost:
            give_back(study, trial, "its worker was killed or its machine is gone")
        return [trial.number for trial in lost]

    def _is_lost(self, trial: Any) -> bool:
        where, process = trial.user_attrs.get(_PLACE, (None, None))
        if where == storage.here():
            return not _lives(process)
        beat, now = trial.user_attrs.get(_BEAT), time.monotonic()
        before, since = self._seen.get(trial.number, (None, now))
        if trial.number not in self._seen or before != beat:
            self._seen[trial.number] = beat, now
            return False
        return now - since > STALE_S


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
