"""A search, from a config with ranges to a verdict on its winner."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import bundle
from tunesmith import config as configs
from tunesmith.config import Config
from tunesmith.errors import Interrupted, TunesmithError, UsageError
from tunesmith.search import crew, plan, report, show, space, storage, study
from tunesmith.search.plan import Plan
from tunesmith.search.progress import Progress
from tunesmith.search.report import Found
from tunesmith.search.settings import Settings
from tunesmith.search.space import Space
from tunesmith.search.trial import Bench
from tunesmith.search.worker import Order
from tunesmith.train import run

KEY = "search.json"
"""The file in a study's folder that says where the study is."""

BEST = "best.yaml"
"""The winner's config."""


@dataclass(frozen=True)
class Search:
    """A finished search: its folder and what it found. ``best`` is the winner's config, ready for ``tunesmith train``."""

    folder: Path
    found: Found

    @property
    def best(self) -> Path:
        """The winner's config."""
        return self.folder / BEST

    def show(self, *, as_json: bool = False) -> None:
        """Print what was found."""
        if as_json:
            print(json.dumps(self.found.to_json(), ensure_ascii=False))
        else:
            show.show(self.found)


def search(
    source: str | Path | None,
    settings: Settings,
    *,
    flags: Mapping[str, str] | None = None,
    keywords: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> Search:
    """Search for better training parameters, and say whether those found are better.

    Args:
        source: a YAML config, training data, or with ``settings.resume`` the folder of a study.
        settings: how to search.
        flags: config parameters with their text; see ``space`` for how ranges are written.
        keywords: config parameters as Python values.
        quiet: show no progress.

    Raises:
        UsageError: something in the call is not legal.
        Interrupted: Ctrl-C was pressed; what is finished is kept, and the study can go on.
        TunesmithError: no trial can come to a score.
    """
    began, clock = time.time(), time.monotonic()
    _check(settings)
    begin = _again if settings.resume else _anew
    opened = begin(source, settings, flags or {}, keywords or {})
    study.set_limits(opened.study, settings, began)
    study.reopen(opened.study, study.most_trials(opened.study))
    work(opened, settings, quiet)
    found = _finish(opened, time.monotonic() - clock)
    return Search(opened.folder, found)


@dataclass(frozen=True)
class Opened:
    """A study with where it is."""

    study: Any
    plan: Plan
    folder: Path
    url: str | None


def _check(settings: Settings) -> None:
    """What cannot go together."""
    if settings.against and settings.sampler == "cma-es":
        raise UsageError(
            "cma-es seeks one thing only", where="--sampler", hint="with --against take tpe, random or grid"
        )
    if settings.against and settings.pruner not in (None, "nothing"):
        hint = "leave --pruner out: no trial can be said to fall behind while several things are sought"
        raise UsageError(f"{settings.pruner} needs a single objective", where="--pruner", hint=hint)
    if len(set(settings.against)) < len(settings.against):
        raise UsageError("an objective is named twice", where="--against")


def work(opened: Opened, settings: Settings, quiet: bool, verb: str = "search") -> None:
    """Run what a study needs; the verb is what goes on with it."""
    progress = Progress(opened.study, opened.plan, quiet=quiet)
    for note in opened.plan.notes:
        progress.note(f"note: {note}")
    dimensions = opened.plan.space.dimensions
    progress.note(f"{opened.folder}: searching {', '.join(f'{one.path} in {one.words()}' for one in dimensions)}")
    own = dict(opened.plan.config["train"]).get("threads")
    threads = None if own else crew.share_of_cores(settings.workers)
    order = Order(opened.url, str(opened.folder), opened.study.study_name, 0, settings.workers, threads)
    try:
        crew.work(order, progress.look, progress.note)
    except Interrupted as error:
        raise Interrupted(error.headline.message, hint=f"tunesmith {verb} {opened.folder} --resume") from None


def _finish(opened: Opened, seconds: float) -> Found:
    best = study.winner(opened.plan, opened.study.get_trials(deepcopy=False))
    assert best is not None
    values = opened.plan.space.values(best.params)
    bundle.write_text(opened.folder / BEST, configs.to_yaml(opened.plan.config_of(values)))
    found = report.gather(opened.study, opened.plan, seconds=seconds, best_config=str(opened.folder / BEST))
    show.write(found, opened.folder)
    for log in opened.folder.glob("worker-*.log"):
        if not log.stat().st_size:
            log.unlink()
    return found


# a new study


def _anew(
    source: str | Path | None, settings: Settings, flags: Mapping[str, str], keywords: Mapping[str, Any]
) -> Opened:
    config, dimensions = space.read(configs.merge_call(source, flags=flags, keywords=keywords))
    if not dimensions.dimensions:
        raise UsageError(
            "nothing is left to search", hint="give a parameter a range, such as --train.learning_rate 1e-5:1e-3:log"
        )
    folder = run.claim(config, "-search")
    try:
        place = storage.open_storage(settings.storage, folder)
        agreed = planned(config, dimensions, settings, folder)
        found = study.create(place, settings.study or folder.name, agreed)
        remember(folder, found.study_name, settings.storage)
    except (TunesmithError, KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Opened(found, agreed, folder, settings.storage)


def planned(config: Config, dimensions: Space, settings: Settings, folder: Path) -> Plan:
    """Find out what the defaults are on these rows with this base model."""
    bench = Bench(folder / ".start")
    filled = bench.filled(config)
    shutil.rmtree(bench.folder, ignore_errors=True)
    values = {one.path: space.value_at(filled, one.path) for one in dimensions.dimensions}
    unknown = {one.path for one in dimensions.outside(values) if values[one.path] is None and not one.asked}
    dimensions = dimensions.without(unknown)
    notes = [f"{path} is not searched: this base model has none" for path in sorted(unknown)]
    for one in dimensions.outside(values):
        start = one.value(one.nearest(values[one.path]))
        notes.append(
            f"the default of {one.path}, {show.text(values[one.path])}, is not in {one.words()}: the first trial takes {show.text(start)}"
        )
    assert filled.train.metric is not None
    return Plan(plan.plain(config), dimensions, settings, filled.train.metric, dimensions.nearest(values), tuple(notes))


def remember(folder: Path, name: str, url: str | None) -> None:
    """Say in a folder which study it is of."""
    bundle.write_text(folder / KEY, json.dumps({"study": name, "storage": url and storage.shown(url)}) + "\n")


# a study that was begun


def _again(
    source: str | Path | None, settings: Settings, flags: Mapping[str, str], keywords: Mapping[str, Any]
) -> Opened:
    if source is not None and Path(source).is_dir() and (Path(source) / KEY).exists():
        return _by_folder(Path(source), settings, {**keywords, **flags})
    given = configs.merge_call(source, flags=flags, keywords=keywords)
    if "data.train" not in given:
        return _by_name(settings, {**keywords, **flags})
    config, dimensions = space.read(given)
    folder = Path(config.out or Path("runs") / f"{run.usual_name(config)}-search")
    opened = find(folder, settings.study or folder.name, settings.storage)
    plan.stop_on_differences(opened.plan, config, dimensions, settings)
    return opened


def _by_folder(folder: Path, settings: Settings, others: Mapping[str, Any]) -> Opened:
    """A study as its folder says."""
    if others:
        named = ", ".join(f"--{name}" for name in others)
        raise UsageError(
            "a study that was begun keeps its config", where=named, hint="begin another one without --resume"
        )
    try:
        known = json.loads((folder / KEY).read_text(encoding="utf-8"))
        name, url = known["study"], known["storage"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError("the file is damaged", where=str(folder / KEY)) from None
    if settings.storage is None and url and ":***@" in url:
        raise UsageError("passwords are not kept: give the storage again", where="--storage", hint=f"--storage {url}")
    opened = find(folder, settings.study or name, settings.storage or url)
    plan.stop_on_other_settings(opened.plan, settings)
    return opened


def _by_name(settings: Settings, others: Mapping[str, Any]) -> Opened:
    """A study of which only the name is known; its config comes from the storage."""
    if settings.storage is None or settings.study is None:
        raise UsageError(
            "which study?", hint="name its folder or its config, or on another machine give --storage URL --study NAME"
        )
    if named := [f"--{name}" for name in others if name != "out"]:
        raise UsageError("a study that was begun keeps its config", where=", ".join(named))
    folder = Path(others.get("out") or Path("runs") / settings.study)
    opened = find(folder, settings.study, settings.storage)
    plan.stop_on_other_settings(opened.plan, settings)
    return opened


def find(folder: Path, name: str, url: str | None) -> Opened:
    """A study that was begun.

    Raises:
        UsageError: there is none.
    """
    if url is None and not (folder / storage.FILE).exists():
        raise UsageError("no study to go on with", where=str(folder), hint="leave out --resume to begin one")
    found = study.find(storage.open_storage(url, folder), name)
    folder.mkdir(parents=True, exist_ok=True)
    remember(folder, name, url)
    return Opened(found, plan.load(found), folder, url)
