"""Finished runs that may be taken together: of one task, the same labels and the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith import bundle as bundles
from tunesmith.bundle import Bundle
from tunesmith.config import Config
from tunesmith.errors import Problem, UsageError


def opened(folders: Sequence[Path]) -> list[Bundle]:
    """The runs' bundles, the first of which the others are compared with.

    Raises:
        UsageError: there are fewer than two, one is named twice, or some do not fit; all are told.
        BundleError: one is missing or damaged.
    """
    if len(folders) < 2:
        raise UsageError("it takes two runs at least", hint="name the folders of runs that differ by seed or rate")
    places = [folder.resolve() for folder in folders]
    problems = [Problem("is named twice", str(place)) for place in dict.fromkeys(places) if places.count(place) > 1]
    found = [bundles.open_bundle(folder) for folder in folders]
    problems += [problem for other in found[1:] for problem in _misfits(found[0], other)]
    if problems:
        raise UsageError("the runs cannot be taken together", problems=problems)
    return found


def _misfits(first: Bundle, other: Bundle) -> list[Problem]:
    """In what a run differs from the first so that their validation scores do not compare."""
    where, than = str(other.folder), str(first.folder)
    if other.config.task_name != first.config.task_name:
        return [Problem(f"is a {other.config.task_name}, and {than} a {first.config.task_name}", where)]
    wrong = []
    if (other.target.kind, other.target.labels) != (first.target.kind, first.target.labels):
        wrong.append(Problem(f"has other labels than {than}", where))
    if divided(other.config) != divided(first.config):
        hint = "rows that choose for the one may have trained the other: train both with the same data section"
        wrong.append(Problem(f"had other data, or divided otherwise, than {than}", where, hint))
    return wrong


def divided(config: Config) -> tuple[object, ...]:
    """What decides which rows train, choose and test."""
    return config.data, dict(config.columns)
