"""A study in its folder: what was asked, which rows are compared and which held out, and what was answered."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith import bundle as bundles
from tunesmith import metrics
from tunesmith.errors import DataError, UsageError
from tunesmith.sweeping.design import Design
from tunesmith.sweeping.judging import Judged
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.space import Space

if TYPE_CHECKING:
    from tunesmith.predict import Model

STUDY = "study.json"

_FEWEST_ROWS = 4
_OWN = ("budget", "price", "resume", "out", "save_preset", "engines", "key_variable", "timeout", "valid_against")
"""What another call that goes on with a study may change."""


@dataclass(frozen=True)
class Study:
    """What is asked, with where its answers are kept."""

    folder: Path
    data: str
    model: Model
    settings: Settings
    space: Space
    design: Design
    metric: str
    quiet: bool

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if metrics.higher_is_better(self.metric) else -1

    def note(self, text: str) -> None:
        """Tell how it goes."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Rows:
    """Numbers of the rows that settings are compared on, and of those that are held out."""

    compared: list[int]
    held_out: list[int]


@dataclass(frozen=True)
class Answered:
    """The answers.

    Args:
        rows: as planned.
        judged: of each run, on the rows that it answered.
        dropped: runs that the race dropped.
        best: number of the setting that is recommended if it holds.
        held: of the best run and of the defaults, on the rows held out.
        answers: how many were given.
        notes: what a reader must know.
    """

    rows: Rows
    judged: Mapping[int, Judged]
    dropped: list[int]
    best: int
    held: Mapping[int, Judged]
    answers: int
    notes: list[str] = field(default_factory=list)


def place_of(bundle: Path, settings: Settings) -> Path:
    """The study's folder."""
    return Path(settings.out) if settings.out else _free(Path("sweeps") / bundle.resolve().name, settings.resume)


def claim(folder: Path, bundle: Path, data: str, settings: Settings, texts: Mapping[str, str]) -> None:
    """Make the study's folder, or go on in it with the same study.

    Raises:
        UsageError: it holds something else.
    """
    asked = {name: each for name, each in settings.model_dump(mode="json").items() if name not in _OWN}
    study = {
        "bundle": identity_of(bundle),
        "data": _identity(data),
        "settings": asked,
        "parameters": dict(sorted(texts.items())),
    }
    file = folder / STUDY
    if not settings.resume:
        if folder.exists() and any(folder.iterdir()):
            hint = "go on with it by --resume, or give another folder by --out"
            raise UsageError("the folder holds something already", where=str(folder), hint=hint)
        folder.mkdir(parents=True, exist_ok=True)
        bundles.write_text(file, json.dumps(study, indent=1, ensure_ascii=False))
        return
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError("there is no study to go on with", where=str(file), hint="leave --resume out") from None
    if differing := [name for name in study if known.get(name) != study[name]]:
        hint = "give the same call again; budget and price may differ"
        raise UsageError(f"the study was begun with other {', '.join(differing)}", where=str(file), hint=hint)


def _identity(data: str) -> str:
    """The data's place, and of one file its content."""
    file = Path(data)
    return f"{data} {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}" if file.is_file() else data


def _free(folder: Path, resume: bool) -> Path:
    """The folder, or where it is taken the first with a number; to go on, the last that is there."""
    number, named = 1, folder
    while named.exists():
        number += 1
        last, named = named, folder.with_name(f"{folder.name}-{number}")
    return named if not resume or number == 1 else last


def identity_of(bundle: Path) -> str:
    """A short text that differs where a bundle was trained anew."""
    return hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()[:16]


def drawn(count: int, settings: Settings) -> list[int]:
    """Numbers of the rows that are answered, in an order that the seed draws.

    Raises:
        DataError: there are too few.
    """
    found: list[int] = np.random.default_rng([settings.seed, 1]).permutation(count)[: settings.rows].tolist()
    if len(found) < _FEWEST_ROWS:
        hint = f"at least {_FEWEST_ROWS}, better hundreds"
        raise DataError(f"{len(found)} rows are too few to compare anything", hint=hint)
    return found


def rows_of(count: int, settings: Settings) -> Rows:
    """Which rows are compared, and which held out.

    Raises:
        DataError: there are too few.
    """
    rows = drawn(count, settings)
    held = min(max(2, round(len(rows) * settings.held_out)), len(rows) - 2)
    return Rows(rows[held:], rows[:held])
