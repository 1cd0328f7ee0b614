"""What a search found, as values: everything that its report in the terminal, as JSON and as a page shows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith import metrics
from tunesmith.search import queue, storage
from tunesmith.search import study as studies
from tunesmith.search.plan import Plan
from tunesmith.search.verdict import Verdict, judge

_FEWEST_FOR_IMPORTANCE = 5


@dataclass(frozen=True)
class Row:
    """A trial.

    Args:
        number: in the order in which they began.
        state: complete, pruned or failed.
        values: what was sought, in the order of the objectives; none unless complete.
        parameters: the config values that were tried, by dotted name.
        curve: share of its steps in percent, and the best score until then.
        seconds: it took.
        is_defaults: whether it stands where the defaults are.
        reason: why it failed.
    """

    number: int
    state: str
    values: tuple[float, ...]
    parameters: dict[str, Any]
    curve: tuple[tuple[int, float], ...]
    seconds: float
    is_defaults: bool
    reason: str | None


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        study: its name.
        objectives: what was sought, the validation score first.
        directions: whether to maximize or minimize each.
        space: the ranges in words, by dotted name.
        scales: ``linear``, ``log`` or ``choices``, by dotted name.
        sampler: that chose the values.
        pruner: that gave trials up.
        trials: those that count, in order.
        lost: trials that their workers left behind; their values were tried again.
        winner: number of the best trial; None: none has a score.
        importance: share of the score's variation by parameter: of all trials (``fanova``), and what tells the best
            trials from the others (``ped_anova``); empty where trials are too few.
        front: numbers of the trials that no other beats in everything, where several things were sought.
        verdict: of the final runs; None where the defaults won or no pair of runs ended.
        notes: what the reader should know.
        failed_finals: why final runs failed.
        seconds: wall time of this call.
        best_config: config of the winner, ready for ``tunesmith train``.
    """

    study: str
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    space: dict[str, str]
    scales: dict[str, str]
    sampler: str
    pruner: str
    trials: tuple[Row, ...]
    lost: int
    winner: int | None
    importance: dict[str, dict[str, float]]
    front: tuple[int, ...]
    verdict: Verdict | None
    notes: tuple[str, ...]
    failed_finals: tuple[str, ...]
    seconds: float
    best_config: str

    @property
    def complete(self) -> tuple[Row, ...]:
        """The trials with a score."""
        return tuple(row for row in self.trials if row.values)

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.directions[0] == "maximize" else -1

    @property
    def defaults(self) -> Row | None:
        """The trial of the defaults."""
        return next((row for row in self.trials if row.is_defaults), None)

    @property
    def best(self) -> Row | None:
        """The winner."""
        return next((row for row in self.trials if row.number == self.winner), None)

    @property
    def words(self) -> str:
        """What came of it, in a sentence."""
        if self.best is None:
            return "no trial came to a score"
        if self.best.is_defaults:
            return f"no trial beat the defaults: {self.objectives[0]} {self.best.values[0]:.4f} on the validation rows"
        if self.verdict:
            return self.verdict.words
        if self.failed_finals:
            return "the final runs did not come to a score: nothing can be said"
        return (
            f"trial {self.best.number} beat the defaults on the validation rows, and no time was left to train both anew: "
            "whether that is more than noise is not known (--resume with another --budget tells)"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        beyond = self.verdict.is_beyond_noise if self.verdict else False
        return {**asdict(self), "words": self.words, "better_than_defaults": beyond}


def gather(study: Any, plan: Plan, *, seconds: float, best_config: str) -> Found:
    """Read a study.

    Args:
        study: of Optuna.
        plan: of it.
        seconds: that this call took.
        best_config: file of the winner's config.
    """
    trials = study.get_trials(deepcopy=False)
    kept = queue.finished(trials)
    best = studies.winner(plan, kept)
    verdict, failed = _verdict(study)
    settings = plan.settings
    return Found(
        study=study.study_name,
        objectives=plan.objectives,
        directions=tuple(plan.directions),
        space={one.path: one.words() for one in plan.space.dimensions},
        scales={one.path: one.scale for one in plan.space.dimensions},
        sampler=settings.sampler,
        pruner=settings.pruner or ("nothing" if settings.against else "asha"),
        trials=tuple(_row(plan, trial) for trial in kept),
        lost=sum(queue.LOST in trial.user_attrs for trial in trials),
        winner=None if best is None else best.number,
        importance=_importance(study, queue.complete(kept)),
        front=tuple(trial.number for trial in study.best_trials) if settings.against and best else (),
        verdict=verdict,
        notes=plan.notes,
        failed_finals=failed,
        seconds=seconds,
        best_config=best_config,
    )


def _row(plan: Plan, trial: Any) -> Row:
    return Row(
        number=trial.number,
        state={"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed"),
        values=tuple(trial.values) if trial.state.name == "COMPLETE" else (),
        parameters=plan.space.values(trial.params),
        curve=tuple(sorted(trial.intermediate_values.items())),
        seconds=float(trial.user_attrs.get("seconds", 0.0)),
        is_defaults=bool(trial.user_attrs.get(queue.DEFAULTS)),
        reason=trial.user_attrs.get(queue.REASON),
    )


def _verdict(study: Any) -> tuple[Verdict | None, tuple[str, ...]]:
    finals = studies.finals_of(study)
    ended = queue.finished(finals.get_trials(deepcopy=False)) if finals else []
    failed = tuple(
        f"{trial.user_attrs['arm']} with seed {trial.user_attrs['seed']}: {trial.user_attrs.get(queue.REASON)}"
        for trial in ended
        if trial.state.name == "FAIL"
    )
    done = queue.complete(ended)
    if not done:
        return None, failed
    scores = {
        arm: {trial.user_attrs["seed"]: trial.values[0] for trial in done if trial.user_attrs["arm"] == arm}
        for arm in (studies.DEFAULTS, studies.WINNER)
    }
    facts = done[0].user_attrs
    sign = 1 if metrics.higher_is_better(facts["metric"]) else -1
    found = judge(
        scores[studies.DEFAULTS],
        scores[studies.WINNER],
        metric=facts["metric"],
        split=facts["split"],
        rows=facts["rows"],
        sign=sign,
    )
    return found, failed


def _importance(study: Any, trials: Iterable[Any]) -> dict[str, dict[str, float]]:
    """FANOVA (Hutter et al. 2014) and PED-ANOVA (Watanabe et al. 2023) of the score."""
    optuna = storage.library()
    trials = list(trials)
    if len(trials) < _FEWEST_FOR_IMPORTANCE or len({trial.values[0] for trial in trials}) < 2:
        return {}
    from optuna import importance

    ways = {
        "fanova": importance.FanovaImportanceEvaluator(seed=0),
        "ped_anova": importance.PedAnovaImportanceEvaluator(),
    }
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that pruned trials are left out, and the like
        for name, way in ways.items():
            try:
                found[name] = importance.get_param_importances(
                    study, evaluator=way, target=lambda trial: float(trial.values[0])
                )
            except (ValueError, RuntimeError, optuna.exceptions.OptunaError):
                continue  # all complete trials have the same values of every parameter
    return found
