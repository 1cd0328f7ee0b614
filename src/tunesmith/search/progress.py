"""What a search tells while it goes: a line for each trial that ended, with the best so far, the rate and the time left."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console

from tunesmith.report.terminal import duration
from tunesmith.search import queue
from tunesmith.search import study as studies
from tunesmith.search.plan import Plan


class Progress:
    """Follows a study. Messages go to stderr, so that stdout stays for results.

    Args:
        study: of Optuna.
        plan: of it.
        quiet: say nothing.
    """

    def __init__(self, study: Any, plan: Plan, *, quiet: bool = False) -> None:
        self._study, self._plan = study, plan
        self._console = Console(stderr=True, quiet=quiet)
        self._began = time.monotonic()
        self._told = {trial.number for trial in queue.finished(self._trials())}
        self._before = len(self._told)
        self._finals_told: set[int] | None = None

    def note(self, message: str) -> None:
        """Say something that happened once."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    def look(self) -> None:
        """Tell of every trial that ended since."""
        if self._console.quiet:
            return
        trials = self._trials()
        for trial in queue.finished(trials):
            if trial.number not in self._told:
                self._told.add(trial.number)
                self.note(f"trial {trial.number:>3}  {self._result(trial)}  |  {self._standing(trials)}")
        self._look_at_finals()

    def _trials(self) -> list[Any]:
        found: list[Any] = self._study.get_trials(deepcopy=False)
        return found

    def _result(self, trial: Any) -> str:
        name = self._plan.metric
        took = f"{trial.user_attrs.get('seconds', 0.0):.0f} s"
        if trial.state.name == "COMPLETE":
            others = zip(self._plan.objectives[1:], trial.values[1:], strict=True)
            more = "".join(f", {other} {value:.2f}" for other, value in others)
            mark = " (defaults)" if trial.user_attrs.get(queue.DEFAULTS) else ""
            return f"{name} {trial.values[0]:.4f}{more}{mark}, {took}"
        if trial.state.name == "PRUNED":
            values = trial.intermediate_values
            at = f" at {max(values)}% with {name} {values[max(values)]:.4f}" if values else ""
            return f"pruned{at}, {took}"
        return f"failed: {str(trial.user_attrs.get(queue.REASON)).partition(chr(10))[0]}"

    def _standing(self, trials: list[Any]) -> str:
        best = studies.winner(self._plan, trials)
        parts = [f"best {best.values[0]:.4f} (trial {best.number})"] if best is not None else []
        done, most = len(self._told), studies.most_trials(self._study)
        parts.append(f"{done} of {most} done" if most else f"{done} done")
        parts.append(f"{len(queue.running(trials))} running")
        rate = (done - self._before) / max(1e-9, time.monotonic() - self._began)
        parts.append(f"{3600 * rate:.0f} an hour")
        end = studies.ends(self._study)
        left = [] if end is None else [end - time.time()]
        if most and rate:
            left.append((most - done) / rate)
        return ", ".join([*parts, *([f"at most {duration(max(0.0, min(left)))} left"] if left else [])])

    def _look_at_finals(self) -> None:
        finals = studies.finals_of(self._study) if self._finals is None else self._finals
        if finals is None or studies.decision(self._study) is None:
            return
        self._finals = finals
        trials = finals.get_trials(deepcopy=False)
        ended = queue.finished(trials)
        if self._finals_told is None:
            self._finals_told = set()
            count = len(ended) + len(queue.waiting(trials)) + len(queue.running(trials))
            if count:
                self.note(f"the trials are over: training the defaults and the winner anew, {count} runs")
        for trial in ended:
            if trial.number in self._finals_told:
                continue
            self._finals_told.add(trial.number)
            arm, seed = trial.user_attrs.get("arm"), trial.user_attrs.get("seed")
            if trial.state.name == "COMPLETE":
                name, split = trial.user_attrs["metric"], trial.user_attrs["split"]
                self.note(f"{arm:>8}, seed {seed}: {name} {trial.values[0]:.4f} on the {split} rows")
            else:
                self.note(f"{arm:>8}, seed {seed}: failed: {trial.user_attrs.get(queue.REASON)}")

    _finals: Any = None
