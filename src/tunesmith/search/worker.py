"""A process that runs trials until the study needs none, and then final runs: ``python -m tunesmith.search.worker``.

It reads its order as JSON from stdin, since a storage's URL may hold a password that no list of processes should show.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith import machine, quiet
from tunesmith.errors import Interrupted, TrainingError, TunesmithError
from tunesmith.search import finals, interrupts, plan, queue, storage, study
from tunesmith.search.plan import Plan
from tunesmith.search.trial import Bench

_PAUSE_S = 0.5
_HOPELESS = 3
_NEVER_PRUNED = 4  # the first trials show what is usual
_ASK_EVERY_S = 2.0


@dataclass(frozen=True)
class Order:
    """What a worker is told.

    Args:
        url: of the storage; None: the file in the study's folder.
        folder: of the study, on this machine.
        name: of the study.
        number: of the worker; samplers draw differently in each.
        workers: how many there are.
        threads: CPU threads of each; None: as the config says.
    """

    url: str | None
    folder: str
    name: str
    number: int = 0
    workers: int = 1
    threads: int | None = None

    def to_json(self) -> str:
        """As the worker reads it."""
        return json.dumps(asdict(self))


class OutOfTime(Exception):  # noqa: N818 - no error
    """The time of the trials is over."""


class Pruned(Exception):  # noqa: N818 - no error
    """The trial fell behind the others."""


def main() -> int:
    """The process; its exit code is that of the command line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been started where Ctrl-C is ignored
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        work(Order(**json.loads(sys.stdin.read())))
        return 0
    except (Interrupted, KeyboardInterrupt):
        return Interrupted.exit_code
    except TunesmithError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _end_with(parent: int) -> None:
    """When the process that started this one is gone, end as if by Ctrl-C: what runs goes back into the queue."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)


def work(order: Order) -> None:
    """Run trials, then final runs, until none is left.

    Raises:
        Interrupted: Ctrl-C was pressed; what ran is put back into the queue.
        TrainingError: no trial came to a score.
    """
    worker = _Worker(order)
    try:
        while worker.is_open():
            if not worker.run_trial():
                worker.wait()
        worker.run_finals()
    finally:
        shutil.rmtree(worker.bench.folder, ignore_errors=True)


class _Worker:
    """One worker's view of the study."""

    def __init__(self, order: Order) -> None:
        self.order, self.folder = order, Path(order.folder)
        self.place = storage.open_storage(order.url, self.folder)
        self.study = study.find(self.place, order.name, order.number)
        self.plan: Plan = plan.load(self.study)
        self.bench = Bench(self.folder / f".worker-{order.number}")
        self.watchdog = queue.Watchdog()
        self._asked = -math.inf
        self._end: float | None = None
        if order.threads:
            machine.prepare(threads=order.threads)

    def is_open(self) -> bool:
        """Whether trials may still begin or are running; the final runs come after all of them."""
        if study.finals_of(self.study) is not None:
            return False
        trials = self.study.get_trials(deepcopy=False)
        ended = queue.finished(trials)
        if len(ended) >= _HOPELESS:
            study.stop_without_score(ended)
        return self._may_begin(trials) or bool(queue.running(trials))

    def wait(self) -> None:
        """For the trials of others."""
        time.sleep(_PAUSE_S)

    def run_trial(self) -> bool:
        """Run one trial to whatever end, one that was lost before new ones; False if there is none to begin."""
        self.watchdog.recover(self.study)
        if not self._may_begin(self.study.get_trials(deepcopy=False)):
            return False
        with interrupts.put_off() as at_once:
            trial = queue.take(self.study, study.most_trials(self.study), self.plan.space.distributions())
            if trial is None:
                return False
            with queue.beating(trial):
                self._run(trial, at_once)
        return True

    def run_finals(self) -> None:
        """Train the defaults and the winner with several seeds."""
        found = study.close(self.study, self.plan, self.order.workers)
        finals.run_all(found, self.study, self.plan, self.folder, self.watchdog, self.order.threads)

    def _may_begin(self, trials: list[Any]) -> bool:
        most = study.most_trials(self.study)
        if most is not None and len(queue.counted(trials)) >= most:
            return False
        if self.plan.settings.sampler == "grid" and not queue.waiting(trials):
            return False
        end = study.trials_end(self.study, self.plan, self.order.workers)
        return end is None or time.time() < end

    def _run(self, trial: Any, at_once: Callable[[], AbstractContextManager[None]]) -> None:
        """Run a trial and tell the study how it ended; Ctrl-C is heard while it trains."""
        state = storage.library().trial.TrialState
        try:
            with at_once():
                values = self._train(trial, self.plan.space.values(trial.params))
        except Pruned:
            self.study.tell(trial, state=state.PRUNED, skip_if_finished=True)
        except (OutOfTime, Interrupted, KeyboardInterrupt) as error:
            late = isinstance(error, OutOfTime)
            queue.give_back(
                self.study, queue.frozen(self.study, trial.number), "the time was over" if late else "it was stopped"
            )
            if not late:
                raise
        except Exception as error:  # whatever goes wrong with these values, others may do better
            reason = str(error) if isinstance(error, TunesmithError) else quiet.first_line(error)
            trial.set_user_attr(queue.REASON, reason)
            self.study.tell(trial, state=state.FAIL, skip_if_finished=True)
        else:
            self.study.tell(trial, values, skip_if_finished=True)

    def _train(self, trial: Any, values: Mapping[str, Any]) -> list[float]:
        """Train with these values; the objectives."""
        began = time.monotonic()
        own = {"train.threads": self.order.threads} if self.order.threads else {}
        config = self.plan.config_of(values, **own, **{"track.to": []})
        try:
            outcome = self.bench.run(config, study.folder_of(self.folder, trial), self._watch(trial))
        finally:
            trial.set_user_attr("seconds", time.monotonic() - began)
        for name, value in asdict(outcome).items():
            trial.set_user_attr(name, value)
        measured = {"latency": outcome.latency, "size": outcome.size, **outcome.scores}
        found = [float(measured[name]) for name in self.plan.objectives]
        if not all(map(math.isfinite, found)):
            raise TrainingError(f"the score is {found[0]:g}")
        return found

    def _watch(self, trial: Any) -> Any:
        """Reports the best score so far at every evaluation, and ends the trial when it falls behind or time is over."""
        best: list[float] = []
        told: set[int] = set()

        def watch(share: float, scores: Mapping[str, float] | None) -> None:
            if self._is_late():
                raise OutOfTime
            if scores is None:
                return
            best.append(self.plan.sign * scores[self.plan.metric])
            percent = round(100 * share)
            if len(self.plan.objectives) > 1 or percent == 0 or percent in told:
                return
            told.add(percent)
            trial.report(self.plan.sign * max(best), step=percent)
            behind = percent < 100 and trial.should_prune()  # asked of every trial, since it also notes the score
            if behind and trial.number >= _NEVER_PRUNED:
                raise Pruned

        return watch

    def _is_late(self) -> bool:
        """Whether trials must be over; the storage is asked every few seconds."""
        if time.monotonic() >= self._asked + _ASK_EVERY_S:
            self._asked = time.monotonic()
            self._end = study.trials_end(self.study, self.plan, self.order.workers)
        return self._end is not None and time.time() >= self._end


if __name__ == "__main__":
    sys.exit(main())
