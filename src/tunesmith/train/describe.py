"""What the report says of a run beside its scores: rows, data findings, time, memory, how to repeat it."""

from __future__ import annotations

import shlex
from pathlib import Path

from tunesmith import machine, report, sources
from tunesmith.data.finding import by_severity
from tunesmith.decisions import options as decisions
from tunesmith.metrics import Counted, Predictions
from tunesmith.networks.backbones import Counts
from tunesmith.report import Beside, Folds, Report, Timing
from tunesmith.tasks.base import Target
from tunesmith.train import journal
from tunesmith.train.job import Course
from tunesmith.train.learner import Candidate


def describe(
    learned: Candidate,
    target: Target,
    predictions: Predictions | Counted,
    split: str,
    course: Course,
    folder: Path,
    seconds: float,
    beside: Beside | None = None,
    folds: Folds | None = None,
    command: str | None = None,
    counts: Counts | None = None,
) -> Report:
    """The report of a finished run.

    Args:
        learned: the model and its rows.
        target: what it predicts, as it was saved.
        predictions: of the rows of ``split``.
        split: those that are scored.
        course: how training went.
        folder: of the run.
        seconds: the whole time it took.
        beside: what the base model gave before.
        folds: scores of cross-validation; None: there was none.
        command: what repeats it; None: a training by its config.
        counts: how many weights trained; None: as many as the network now has that would.
    """
    config, counts = learned.config, counts or learned.network.backbone.weight_counts
    assert config.model.base is not None
    return report.build(
        predictions,
        task=config.task_name,
        base=config.model.base,
        adapter=config.adapter_name,
        headline=predictions.chief[0],
        rows={name: len(table) for name, table in learned.splits.tables.items()},
        split=split,
        thresholds=learned.task.asked(target, learned.request).thresholds,
        log=journal.read(folder / "log.jsonl"),
        findings=[f"{finding.severity}: {finding.message}" for finding in by_severity(learned.findings)],
        command=command or shlex.join(["tunesmith", "train", str(folder / "config.yaml")]),
        timing=Timing(
            train_s=course.seconds,
            total_s=seconds,
            tokens=course.tokens,
            peak_memory_bytes=machine.peak_memory_bytes(),
        ),
        beside=beside,
        notes=decisions.notes(config.task, target) if isinstance(config.task, decisions.Calibrated) else (),
        folds=folds,
        weights=(counts.trained, counts.all),
        config=config.model_dump(mode="json"),
        license=next((alias.licence for alias in sources.aliases() if alias.name == config.model.base), None),
    )
