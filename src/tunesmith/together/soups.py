"""The soup of several runs: the mean of their weights, of those of them with which it scores better."""

from __future__ import annotations

import functools
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunesmith import machine
from tunesmith.bundle import Bundle
from tunesmith.data.prepare import prepare
from tunesmith.decisions.decision import UNDECIDED
from tunesmith.errors import Problem, UsageError
from tunesmith.metrics import higher_is_better
from tunesmith.report import Report
from tunesmith.together import mates
from tunesmith.train import run
from tunesmith.train import soup as soup_of
from tunesmith.train.job import Course
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Candidate
from tunesmith.train.soup import Weights


@dataclass(frozen=True)
class Cooked:
    """What became of several runs.

    Args:
        metric: the validation metric that decided.
        singles: what each run scores, by folder, the best first.
        members: the runs whose mean scores best, the best of them first; one where no mean is better than it.
        score: of that mean.
        folder: where it is, as a run of its own; None where there is only one member, and nothing was written.
        report: of it.
    """

    metric: str
    singles: dict[str, float]
    members: tuple[str, ...]
    score: float
    folder: Path | None
    report: Report | None


def soup(folders: Sequence[Path], out: Path, *, quiet: bool = False) -> Cooked:
    """Average runs of one base model greedily on the validation rows of the first, and keep it if that is better.

    Args:
        folders: of runs that share task, data, base model and shapes.
        out: of the new run.
        quiet: show no progress.

    Raises:
        UsageError: they do not fit together, or the folder is taken.
    """
    found = mates.opened(folders)
    _check_shapes(found)
    began = time.monotonic()
    folder = run.claim(found[0].config.model_copy(update={"out": str(out)}))
    try:
        cooked = _cook(found, folder, quiet, began)
    except BaseException:
        shutil.rmtree(folder)
        raise
    if cooked.report is None:
        shutil.rmtree(folder)
    return cooked


def _cook(found: Sequence[Bundle], folder: Path, quiet: bool, began: float) -> Cooked:
    journal = Journal(folder / "log.jsonl", quiet=quiet)
    judged = _candidate(found[0], folder / run.WORK)
    sign = 1 if higher_is_better(judged.metric) else -1

    def judge(weights: Weights) -> dict[str, float]:
        judged.network.load_state_dict(dict(weights))
        return judged.scores()

    def chief(scores: dict[str, float]) -> float:
        return sign * scores[judged.metric]

    scores = {one.folder: judge(_weights(one)) for one in found}
    for place, own in scores.items():
        journal.note(f"{place}: validation {judged.metric} {own[judged.metric]:.4f}")
    best = sorted(found, key=lambda one: -chief(scores[one.folder]))
    ingredients = [functools.partial(_weights, one) for one in best]
    mixed = soup_of.greedy(ingredients, judge, chief, scores[best[0].folder])
    members = tuple(str(best[number].folder) for number in mixed.members)
    report = None
    if len(members) > 1:
        judged.network.load_state_dict(dict(mixed.weights))
        journal.note(f"the mean of {', '.join(members)}: validation {judged.metric} {mixed.scores[judged.metric]:.4f}")
        command = shlex.join(["tunesmith", "soup", *(str(one.folder) for one in found)])
        report = run.finish(judged, Course(scores=mixed.scores), folder, began, command=command)
    singles = {str(one.folder): scores[one.folder][judged.metric] for one in best}
    score = mixed.scores[judged.metric]
    return Cooked(judged.metric, singles, members, score, folder if report else None, report)


def _candidate(first: Bundle, work: Path) -> Candidate:
    """The first run's network with its validation and test rows."""
    config, task, adapter = first.config, first.task, first.adapter()
    network, tokenizer = first.network(adapter), first.tokenizer()
    splits = prepare(config, task, work / "data")
    splits.stop_on_errors()
    target = replace(first.target, thresholds=(), decision=UNDECIDED)  # what was decided for the first is decided anew
    rows = splits.tables["validation"]
    return Candidate(
        config=config,
        task=task,
        target=target,
        adapter=adapter,
        network=network,
        tokenizer=tokenizer,
        validation=task.encode(rows, tokenizer, config.model, work / "validation", target),
        splits=splits,
        machine=machine.prepare(config.train.precision, config.train.threads),
        findings=splits.findings,
    )


def _weights(one: Bundle) -> Weights:
    return one.network().state_dict()


def _check_shapes(found: Sequence[Bundle]) -> None:
    """Weights have a mean where each means the same: on one base model, read and adapted in one way."""
    first, problems = found[0], []
    for other in found[1:]:
        for name in ("adapter", "task"):
            if getattr(other.config, name) != getattr(first.config, name):
                problems.append(Problem(f"its {name} section differs from that of {first.folder}", str(other.folder)))
        mine, its = first.config.model, other.config.model
        if (mine.base, mine.pooling) != (its.base, its.pooling):
            problems.append(Problem(f"has another base model or pooling than {first.folder}", str(other.folder)))
    if problems:
        raise UsageError("these weights have no mean", problems=problems)
