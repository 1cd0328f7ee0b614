"""A study in its storage: made, found again, and closed by the decision on a winner."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import plugins
from tunesmith.errors import TrainingError, UsageError
from tunesmith.search import plan as plans
from tunesmith.search import queue, storage
from tunesmith.search.plan import Plan
from tunesmith.search.settings import USUAL_TRIALS, Settings

MOST_GRID_POINTS = 10_000
DEFAULTS, WINNER = "defaults", "winner"
"""The two that are trained with several seeds at the end."""

_ENDS, _MOST, _DECISION = "ends", "trials", "decision"
_FINALS = "{} / finals"
_LONG = 1.3
_LARGEST_RESERVE = 0.5
_REPORT_S = 15.0
_FEWEST_SEEDS = 2
_PATIENCE_S = 30.0


def create(place: Any, name: str, plan: Plan) -> Any:
    """Begin a study: the defaults wait as its first trial, and the whole grid where one was asked for.

    Raises:
        UsageError: there is a study of this name, or the grid is too large.
    """
    optuna = storage.library()
    points = _grid(plan)
    try:
        study = optuna.create_study(study_name=name, storage=place, **_way(plan, 0))
    except optuna.exceptions.DuplicatedStudyError:
        hint = "go on with it by --resume, or give this one another name with --study NAME"
        raise UsageError(f"there is a study '{name}' in this storage", where="--study", hint=hint) from None
    study.enqueue_trial(dict(plan.defaults), user_attrs={queue.DEFAULTS: True})
    for point in points:
        study.enqueue_trial(point)
    plan.save(study)
    return study


def find(place: Any, name: str, number: int = 0) -> Any:
    """The study of a name; its sampler draws as worker ``number`` should.

    Raises:
        UsageError: there is none.
    """
    optuna = storage.library()
    try:
        study = optuna.load_study(study_name=name, storage=place)
    except KeyError:
        known = ", ".join(known for known in optuna.get_all_study_names(place) if not known.endswith(_FINALS[2:]))
        hint = f"there are: {known}" if known else "it holds none"
        raise UsageError(f"no study '{name}' in this storage", where="--study", hint=hint) from None
    way = _way(plans.load(study), number)
    return optuna.load_study(study_name=name, storage=place, sampler=way["sampler"], pruner=way["pruner"])


def _way(plan: Plan, number: int) -> dict[str, Any]:
    """Sampler, pruner and directions."""
    settings = plan.settings
    pruner = settings.pruner or ("nothing" if settings.against else "asha")
    return {
        "sampler": plugins.load("search.samplers", settings.sampler)(settings.seed + number),
        "pruner": plugins.load("search.pruners", pruner)(),
        "directions": plan.directions,
    }


def _grid(plan: Plan) -> list[dict[str, Any]]:
    """The grid's points in random order, so that those which a short budget reaches lie everywhere."""
    if plan.settings.sampler != "grid":
        return []
    points = list(_first(plan.space.grid(plan.settings.points), MOST_GRID_POINTS + 1))
    if len(points) > MOST_GRID_POINTS:
        hint = "search fewer parameters, lower --points, or take --sampler tpe"
        raise UsageError(f"the grid has more than {MOST_GRID_POINTS:,} points", where="--sampler", hint=hint)
    random.Random(plan.settings.seed).shuffle(points)
    return [point for point in points if point != plan.defaults]


def _first(items: Iterable[Any], count: int) -> Iterable[Any]:
    return (item for _, item in zip(range(count), items, strict=False))


# how long it goes on


def set_limits(study: Any, settings: Settings, now: float) -> None:
    """Keep until when and for how many trials the study goes on; a call that says nothing leaves what others said.

    Args:
        study: of Optuna.
        settings: of this call.
        now: seconds since the epoch at which the call began.
    """
    if settings.trials is not None:
        study.set_user_attr(_MOST, settings.trials)
    if settings.budget is not None:
        study.set_user_attr(_ENDS, now + settings.budget)
    elif (study.user_attrs.get(_ENDS) or now) <= now:
        study.set_user_attr(_ENDS, None)


def most_trials(study: Any) -> int | None:
    """Trials in all; None: without a limit."""
    attributes = study.user_attrs
    if plans.load(study).settings.sampler == "grid":
        return attributes.get(_MOST) or len(study.get_trials(deepcopy=False))
    found: int | None = attributes.get(_MOST)
    return found or (None if attributes.get(_ENDS) else USUAL_TRIALS)


def ends(study: Any) -> float | None:
    """When the whole study must be over, in seconds since the epoch; None: it takes the time it takes."""
    found: float | None = study.user_attrs.get(_ENDS)
    return found


def trials_end(study: Any, plan: Plan, workers: int) -> float | None:
    """When the last trial must be over, so that the retraining and the report come in time."""
    end, trials = ends(study), queue.complete(study.get_trials(deepcopy=False))
    if end is None or not trials:
        return end
    best = winner(plan, trials)
    if best is None or best.user_attrs.get(queue.DEFAULTS):  # nothing is to be trained anew
        return end - _REPORT_S
    needed = _LONG * plan.settings.seeds * _pair_s(plan, trials) / workers + _REPORT_S
    began: float = min(trial.datetime_start.timestamp() for trial in trials)
    return end - min(needed, _LARGEST_RESERVE * (end - began))


def _pair_s(plan: Plan, trials: list[Any]) -> float:
    """How long the defaults and the winner so far took together."""
    best = winner(plan, trials)
    assert best is not None
    first = next((trial for trial in trials if trial.user_attrs.get(queue.DEFAULTS)), best)
    return float(first.user_attrs["seconds"] + best.user_attrs["seconds"])


# how it is closed


def winner(plan: Plan, trials: Iterable[Any]) -> Any | None:
    """The complete trial with the best score; of equal ones the first."""
    return max(queue.complete(trials), key=lambda trial: plan.sign * trial.values[0], default=None)


@dataclass(frozen=True)
class Decision:
    """Who won, and with which seeds it and the defaults are trained; none where the defaults won or no time is left."""

    winner: int
    seeds: tuple[int, ...]


def stop_without_score(trials: Iterable[Any]) -> None:
    """Refuse to go on where no trial has come to a score.

    Raises:
        TrainingError: with the reasons.
    """
    trials = list(trials)
    if all(trial.state.name in ("FAIL", "WAITING") for trial in trials):
        reasons = dict.fromkeys(
            trial.user_attrs.get(queue.REASON) or trial.user_attrs.get(queue.LOST) for trial in trials
        )
        told = [f"- {reason}" for reason in reasons if reason]
        raise TrainingError(
            "\n".join(["no trial came to a score:", *told]), hint="a larger --budget may help, or narrower ranges"
        )


def decision(study: Any) -> Decision | None:
    """What was decided; None: nothing yet."""
    found = study.user_attrs.get(_DECISION)
    return Decision(found["winner"], tuple(found["seeds"])) if found else None


def close(study: Any, plan: Plan, workers: int) -> Any:
    """Decide on the winner, unless that was done, and give the study of the final runs, which wait in it.

    However many processes call this at once, one of them decides.

    Raises:
        TrainingError: no trial came to a score.
    """
    stop_without_score(study.get_trials(deepcopy=False))
    optuna = storage.library()
    name, place = _FINALS.format(study.study_name), storage.of(study)
    try:
        finals = optuna.create_study(study_name=name, storage=place, direction=plan.directions[0])
    except optuna.exceptions.DuplicatedStudyError:
        finals = optuna.load_study(study_name=name, storage=place)
        until = time.monotonic() + _PATIENCE_S
        while decision(study) is None and time.monotonic() < until:
            time.sleep(0.2)
    if decision(study) is None:
        decided = _decide(study, plan, workers)
        there = {(trial.user_attrs.get("arm"), trial.user_attrs.get("seed")) for trial in finals.get_trials()}
        for seed in decided.seeds:
            for arm in (DEFAULTS, WINNER):
                if (arm, seed) not in there:
                    finals.enqueue_trial({}, user_attrs={"arm": arm, "seed": seed})
        study.set_user_attr(_DECISION, {"winner": decided.winner, "seeds": list(decided.seeds)})
    return finals


def _decide(study: Any, plan: Plan, workers: int) -> Decision:
    trials = queue.complete(study.get_trials(deepcopy=False))
    best = winner(plan, trials)
    assert best is not None
    count, end = plan.settings.seeds, ends(study)
    if end is not None:
        left = end - time.time() - _REPORT_S
        pairs = left * workers / _pair_s(plan, trials)
        count = 0 if pairs < _FEWEST_SEEDS else min(count, max(_FEWEST_SEEDS, int(pairs / _LONG)))
    first = int(dict(plan.config["train"])["seed"]) + 1
    seeds = () if best.user_attrs.get(queue.DEFAULTS) else tuple(range(first, first + count))
    return Decision(best.number, seeds)


def finals_of(study: Any) -> Any | None:
    """The study of the final runs; None: the search is still open."""
    optuna = storage.library()
    try:
        return optuna.load_study(study_name=_FINALS.format(study.study_name), storage=storage.of(study))
    except KeyError:
        return None


def reopen(study: Any, most: int | None) -> None:
    """Let a study whose final runs are over take more trials, if more were asked for, or have its final runs after all."""
    finals, decided = finals_of(study), decision(study)
    trials = study.get_trials(deepcopy=False)
    if finals is None:
        return
    defaults_won = decided and queue.frozen(study, decided.winner).user_attrs.get(queue.DEFAULTS)
    had_no_time = decided is not None and not decided.seeds and not defaults_won
    if most is not None and len(queue.counted(trials)) >= most and not had_no_time:
        return
    left = finals.get_trials(deepcopy=False)
    if not queue.running(left) and not queue.waiting(left):
        storage.library().delete_study(study_name=finals.study_name, storage=storage.of(study))
        study.set_user_attr(_DECISION, None)


def folder_of(folder: Path, trial: Any) -> Path:
    """Where a trial's config and log are, on the machine that ran it."""
    return folder / "trials" / f"{trial.number:04}"
