"""The final runs: whole training runs of the defaults and of the winner with several seeds, scored on the test rows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tunesmith import quiet, report
from tunesmith.errors import Interrupted, TunesmithError
from tunesmith.report import Report
from tunesmith.search import interrupts, queue, storage
from tunesmith.search.plan import Plan
from tunesmith.search.queue import Watchdog
from tunesmith.search.study import DEFAULTS, decision
from tunesmith.train import run

_PAUSE_S = 0.5


def run_all(finals: Any, study: Any, plan: Plan, folder: Path, watchdog: Watchdog, threads: int | None = None) -> None:
    """Run the final runs that wait, and wait for those of others.

    Args:
        finals: the study that they wait in.
        study: that was searched.
        plan: of it.
        folder: of the study, on this machine.
        watchdog: finds those that are lost.
        threads: CPU threads; None: as the config says.

    Raises:
        Interrupted: Ctrl-C was pressed; the run can go on from its last checkpoint.
    """
    while True:
        trials = finals.get_trials(deepcopy=False)
        if queue.waiting(trials):
            with interrupts.put_off() as at_once:
                _run_next(finals, study, plan, folder, threads, at_once)
        elif queue.running(trials):
            watchdog.recover(finals)
            time.sleep(_PAUSE_S)
        else:
            return


def folder_of(folder: Path, arm: str, winner: int, seed: int) -> Path:
    """Where a final run is."""
    return folder / "finals" / f"{arm if arm == DEFAULTS else f'trial-{winner:04}'}-seed-{seed}"


def _run_next(
    finals: Any,
    study: Any,
    plan: Plan,
    folder: Path,
    threads: int | None,
    at_once: Callable[[], AbstractContextManager[None]],
) -> None:
    trial = queue.take(finals, None, {})
    if trial is None:
        return
    if "arm" not in trial.user_attrs:  # others had taken the last one
        queue.give_back(finals, queue.frozen(finals, trial.number), "nothing was left to run", again=False)
        return
    state = storage.library().trial.TrialState
    with queue.beating(trial):
        try:
            with at_once():
                written = _run(trial.user_attrs, study, plan, folder, threads)
        except (Interrupted, KeyboardInterrupt):
            queue.give_back(finals, queue.frozen(finals, trial.number), "it was stopped")
            raise
        except Exception as error:  # told in the report, where the comparison goes without it
            trial.set_user_attr(
                queue.REASON, str(error) if isinstance(error, TunesmithError) else quiet.first_line(error)
            )
            finals.tell(trial, state=state.FAIL, skip_if_finished=True)
            return
        metric = plan.metric if plan.metric in written.metrics else written.headline.name
        rows = written.rows[written.split]
        found = {"metric": metric, "split": written.split, "rows": rows, "seconds": written.timing.total_s}
        for name, value in {**found, "metrics": dict(written.metrics)}.items():
            trial.set_user_attr(name, value)
        finals.tell(trial, written.metrics[metric], skip_if_finished=True)


def _run(which: dict[str, Any], study: Any, plan: Plan, folder: Path, threads: int | None) -> Report:
    """Train with one seed; a run that was begun goes on, and one that is there already is only read."""
    decided = decision(study)
    assert decided is not None
    labels = {} if which["arm"] == DEFAULTS else queue.frozen(study, decided.winner).params
    place = folder_of(folder, which["arm"], decided.winner, which["seed"])
    if (place / "report.json").exists():
        return report.load(place)
    if (place / "config.yaml").exists():
        return run.resume(place, quiet=True).report
    shutil.rmtree(place, ignore_errors=True)
    own = {"train.threads": threads} if threads else {}
    config = plan.config_of(plan.space.values(labels), **own, **{"train.seed": which["seed"], "out": str(place)})
    return run.train(config, quiet=True).report
