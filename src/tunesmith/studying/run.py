"""A study of training parameters, from a config with values to what each of them does."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import config as configs
from tunesmith.config import Config
from tunesmith.errors import TunesmithError, UsageError
from tunesmith.params import Choices
from tunesmith.search import queue, space, storage
from tunesmith.search import run as searches
from tunesmith.search import settings as search_settings
from tunesmith.search import study as studies
from tunesmith.search.run import Opened
from tunesmith.search.space import Dimension, Space
from tunesmith.studying import found as findings
from tunesmith.studying import show
from tunesmith.studying.found import SEED, Found, Trained
from tunesmith.studying.settings import Settings
from tunesmith.train import run

_AGREED = "study"
"""Attribute of a study in its storage: what was asked of it."""


@dataclass(frozen=True)
class Study:
    """A finished study: its folder and what it found."""

    folder: Path
    found: Found

    def show(self, *, as_json: bool = False) -> None:
        """Print what was found."""
        if as_json:
            print(json.dumps(self.found.to_json(), ensure_ascii=False))
        else:
            show.show(self.found)


def study(
    source: str | Path | None,
    settings: Settings,
    *,
    flags: Mapping[str, str] | None = None,
    keywords: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Study:
    """Train every combination of some parameters' values with several seeds, and say what each parameter does.

    Args:
        source: a YAML config, training data, or with ``settings.resume`` the folder of a study.
        settings: how to study.
        flags: config parameters with their text; see ``search.space`` for how values are written.
        keywords: config parameters as Python values.
        quiet: show no progress.

    Raises:
        UsageError: something in the call is not legal.
        Interrupted: Ctrl-C was pressed; what is finished is kept, and the study can go on.
        TunesmithError: no combination can be trained.
    """
    began, clock = time.time(), time.monotonic()
    opened = (
        _again(source, flags or {}, keywords or {}) if settings.resume else _anew(source, settings, flags, keywords)
    )
    own = _searching(settings)
    studies.set_limits(opened.study, own, began)
    searches.work(opened, own, quiet, "study")
    return Study(opened.folder, _finish(opened, time.monotonic() - clock))


def read(merged: Mapping[str, Any], settings: Settings) -> tuple[Config, Space]:
    """The config that all share, and every value of the parameters that vary.

    Raises:
        UsageError: nothing varies, or what does is not legal.
    """
    config, ranges = space.read(merged)
    if not any(one.asked for one in ranges.dimensions):
        hint = (
            "give a parameter several values, such as --train.learning_rate 1e-5:1e-3:log5 or --adapter.dropout 0,0.1"
        )
        raise UsageError("nothing is left to study", hint=hint)
    spread = tuple(_spread(one, settings.points) for one in ranges.dimensions)
    first = config.train.seed
    seeds = Dimension(SEED, Choices(tuple(range(first, first + settings.seeds))), whole=True)
    return config, Space((*spread, seeds))


def _spread(one: Dimension, points: int) -> Dimension:
    values = tuple(one.value(point) for point in one.points(points))
    return one if isinstance(one.range, Choices) else Dimension(one.path, Choices(values), one.whole)


def _anew(
    source: str | Path | None,
    settings: Settings,
    flags: Mapping[str, str] | None,
    keywords: Mapping[str, Any] | None,
) -> Opened:
    config, values = read(configs.merge_call(source, flags=flags or {}, keywords=keywords or {}), settings)
    folder = run.claim(config, "-study")
    try:
        place = storage.open_storage(None, folder)
        agreed = searches.planned(config, values, _searching(settings), folder)
        made = studies.create(place, folder.name, agreed)
        made.set_user_attr(_AGREED, settings.model_dump(mode="json", include={"seeds", "margin"}))
        searches.remember(folder, made.study_name, None)
    except (TunesmithError, KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Opened(made, agreed, folder, None)


def _again(source: str | Path | None, flags: Mapping[str, str], keywords: Mapping[str, Any]) -> Opened:
    if others := [f"--{name}" for name in {**keywords, **flags}]:
        hint = "begin another one without --resume"
        raise UsageError("a study that was begun keeps its config", where=", ".join(others), hint=hint)
    folder = Path(source or "")
    if not (folder / searches.KEY).exists():
        raise UsageError("no study to go on with", where=str(source), hint="name the folder of a study")
    opened = searches.find(folder, json.loads((folder / searches.KEY).read_text(encoding="utf-8"))["study"], None)
    if _AGREED not in opened.study.user_attrs:
        raise UsageError("this is a search", where=str(source), hint=f"tunesmith search {source} --resume")
    return opened


def _searching(settings: Settings) -> search_settings.Settings:
    """The study as the workers of a search take it: the whole grid, nothing given up, nothing trained anew at the end."""
    return search_settings.Settings(
        sampler="grid",
        pruner="nothing",
        seeds=0,
        points=settings.points,
        budget=settings.budget,
        workers=settings.workers,
        seed=settings.seed,
    )


def _finish(opened: Opened, seconds: float) -> Found:
    agreed = opened.study.user_attrs[_AGREED]
    trials = queue.finished(opened.study.get_trials(deepcopy=False))
    rows = tuple(_trained(opened, trial) for trial in queue.complete(trials))
    failed = tuple(
        f"{trial.number}: {trial.user_attrs.get(queue.REASON)}" for trial in trials if trial.state.name == "FAIL"
    )
    defaults = opened.plan.space.values(opened.plan.defaults)
    wanted = sum(1 for _ in opened.plan.space.grid(2))
    found = findings.of(
        rows,
        defaults={name: value for name, value in defaults.items() if name != SEED},
        metric=opened.plan.metric,
        sign=opened.plan.sign,
        margin=agreed["margin"],
        wanted=wanted,
        failed=failed,
        notes=opened.plan.notes,
        seconds=seconds,
    )
    show.write(found, opened.folder)
    return found


def _trained(opened: Opened, trial: Any) -> Trained:
    values = opened.plan.space.values(trial.params)
    seed = values.pop(SEED)
    return Trained(values, seed, float(trial.values[0]), float(trial.user_attrs.get("seconds", 0.0)))
