"""The models that are served, by name; each with the worker that answers for it."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import bundle as bundles
from tunesmith import engine_choice, machine, predict, presets
from tunesmith.engines.base import engine_name
from tunesmith.errors import BundleError, UsageError, did_you_mean
from tunesmith.network_engine import NetworkEngine
from tunesmith.presets import Preset
from tunesmith.serving import joined, refusal
from tunesmith.serving.joined import JoinedWriter
from tunesmith.serving.options import Options
from tunesmith.serving.queueing import taken_away
from tunesmith.serving.readers import Reader
from tunesmith.serving.worker import Worker
from tunesmith.serving.writers import Writer

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.predict import Model
    from tunesmith.side_by_side import SideBySide

_VERSIONS = itertools.count(1)


@dataclass(eq=False)
class Served:
    """A bundle that answers.

    Args:
        name: what callers call it.
        folder: the bundle.
        inside: what it is called within its worker, where two versions of one name may be.
        worker: who answers.
        task: the name of its task.
        engine: what computes it.
        fingerprint: of the bundle, the engine and this software: same fingerprint, same seed, same answer.
        presets: named request parameters of the bundle.
        version: a number that no other has while the server runs.
        since: when it was opened, seconds since 1970.
    """

    name: str
    folder: Path
    inside: str
    worker: Worker
    task: str
    engine: str
    fingerprint: str
    presets: Mapping[str, Preset]
    version: int
    since: float = field(default_factory=time.time)

    @property
    def model(self) -> Model:
        """The model as opened, for checking requests; it is computed by the worker's thread alone.

        Raises:
            Refusal: it was closed.
        """
        if not self._is_there:
            raise taken_away()
        return _model(self.worker.built, self.inside)

    @property
    def ready(self) -> bool:
        """Whether it answers now."""
        return self.worker.ready and self._is_there

    @property
    def ends_in_time(self) -> bool:
        """Whether an answer ends as it stands when its time is over; others are there as a whole, or not at all."""
        return isinstance(self.worker, Writer)

    @property
    def _is_there(self) -> bool:
        built = self.worker.built
        return built is not None and self.inside in (built if isinstance(built, dict) else built.models)

    def preset(self, name: str | None) -> Mapping[str, Any]:
        """Request parameters of one of its presets; None: none.

        Raises:
            UsageError: there is no such preset.
        """
        return presets.named(self.presets, name).parameters if name else {}


class Models:
    """The models that are served. Any thread may ask; loading and closing take long, and happen in the caller's thread.

    Args:
        options: of the server.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._served: dict[str, Served] = {}
        self._opened: set[Served] = set()
        self._opening = threading.RLock()

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))

    def __len__(self) -> int:
        return len(self._served)

    def find(self, name: str | None) -> Served:
        """The model of a name; None: the only one.

        Raises:
            Refusal: there is none.
        """
        if name is None and len(self._served) == 1:
            return next(iter(self._served.values()))
        if name is None:
            hint = f"there are: {', '.join(sorted(self._served))}"
            raise refusal.Refusal("which model is meant?", "missing_value", param="model", hint=hint)
        if name not in self._served:
            near = did_you_mean(name, sorted(self._served))
            raise refusal.Refusal(f"there is no model '{name}'", "model_not_found", 404, param="model", hint=near)
        return self._served[name]

    def load(self, name: str, folder: str | Path, engine: str | None = None) -> Served:
        """Open a bundle, hold it against its golden answers, and let callers ask for it.

        Raises:
            UsageError: there is one of that name.
            TunesmithError: it cannot be opened, or gives other answers than at training.
        """
        with self._opening:
            if name in self._served:
                raise UsageError(f"there is a model '{name}' already", hint="unload it first, or swap it")
            return self.put(self.open(name, folder, engine))

    def open(self, name: str, folder: str | Path, engine: str | None = None) -> Served:
        """Open a bundle and try it, without letting anybody ask for it.

        Raises:
            TunesmithError: it cannot be opened, or gives other answers than at training.
        """
        folder, engine, version = Path(folder), engine or self._options.engine, next(_VERSIONS)
        inside = f"{name}#{version}"
        with self._opening:
            worker = self._work_for(inside, folder, engine)
            try:
                worker.between(lambda built: _model(built, inside).replay())
                known = _presets(folder, _model(worker.built, inside))
            except BaseException:
                worker.leave(inside)
                raise
            task = _model(worker.built, inside).bundle.config.task_name
            chosen = engine or engine_name(engine_choice.engine_of(folder))
            made = Served(name, folder, inside, worker, task, chosen, _fingerprint(folder, chosen), known, version)
            self._opened.add(made)
            return made

    def put(self, made: Served) -> Served:
        """Let callers ask for a model that was opened, in place of one of that name."""
        self._served[made.name] = made
        return made

    def unload(self, name: str) -> Served:
        """Let nobody ask for a model any more; what it was asked before is answered, if it is closed after that."""
        return self._served.pop(self.find(name).name)

    def close_one(self, served: Served) -> None:
        """End a model that was opened, and give its memory back; what it was asked and is not answered is refused."""
        with self._opening:
            self._opened.discard(served)
            served.worker.leave(served.inside)
        machine.give_back_memory()

    @property
    def ready(self) -> bool:
        """Whether there are models and all of them answer."""
        return bool(self._served) and all(served.ready for served in self)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked of any."""
        return all(served.worker.idle for served in list(self._opened))

    def close(self) -> None:
        """End all workers."""
        for worker in {served.worker for served in list(self._opened)}:
            worker.close()

    def _work_for(self, inside: str, folder: Path, engine: str | None) -> Worker:
        """A worker that answers for a bundle: a new one, or one that answers for its base model already."""
        opened = _writing(folder, engine)
        beside = None if opened is None or not _joins(opened, engine) else opened
        for worker in {served.worker for served in self._opened} if beside is not None else ():
            if isinstance(worker, JoinedWriter) and worker.base == joined.base(beside):  # type: ignore[arg-type]
                worker.join(inside, folder)
                return worker
        made = self._made(inside, folder, engine, opened, beside)
        made.start()
        return made

    def _made(
        self, inside: str, folder: Path, engine: str | None, writes: Bundle | None, beside: Bundle | None
    ) -> Worker:
        options = self._options
        scheduling = {"max_rows": options.max_rows, "prefix_bytes": options.prefix_bytes}
        if beside is not None:
            return JoinedWriter(inside, beside, scheduling, options.max_waiting)
        if writes is not None:
            return Writer(inside, partial(_by_itself, inside, folder, engine, scheduling), options.max_waiting)
        return Reader(
            inside,
            partial(_alone, inside, folder, engine),
            options.max_waiting,
            batch_tokens=options.max_batch_tokens,
            wait_s=options.batch_wait_ms / 1000,
        )


def _writing(folder: Path, engine: str | None) -> Bundle | None:
    """The bundle, if its texts are written by our own scheduler, token by token."""
    if (folder / predict.ENSEMBLE).exists() or (engine or "").startswith("http"):
        return None
    opened = bundles.open_bundle(folder)
    return opened if opened.task.writes and issubclass(engine_choice.engine_of(folder, engine), NetworkEngine) else None


def _joins(opened: Bundle, engine: str | None) -> bool:
    """Whether a bundle's adapter stays beside its base model, so that others can join it."""
    chosen = engine_name(engine_choice.engine_of(opened.folder, engine))
    return chosen == "pytorch" and joined.can_join(opened)


def _alone(inside: str, folder: Path, engine: str | None) -> dict[str, Model]:
    return {inside: predict.load(folder, engine)}


def _by_itself(inside: str, folder: Path, engine: str | None, scheduling: Mapping[str, Any]) -> SideBySide:
    """A scheduler of its own."""
    from tunesmith.side_by_side import SideBySide

    chosen = engine_name(engine_choice.engine_of(folder, engine))
    built = SideBySide({inside: predict.load(folder, engine)}, {**scheduling, "engine": chosen}, shared=False)
    built.scheduler.warm()
    return built


def _model(built: Any, inside: str) -> Model:
    model: Model = (built if isinstance(built, dict) else built.models)[inside]
    return model


def _presets(folder: Path, model: Model) -> dict[str, Preset]:
    """The presets of a bundle, tried.

    Raises:
        BundleError: one of them is broken.
    """
    known = presets.read(folder)
    for name, preset in known.items():
        try:
            model.request(**preset.parameters)
        except UsageError as error:
            place = f"{presets.FILE}, preset '{name}'"
            problems = [replace(one, where=place) for one in error.problems or (error.headline,)]
            raise BundleError("a preset is broken", where=str(folder), problems=problems) from None
    return known


def _fingerprint(folder: Path, engine: str) -> str:
    """A short text that differs where the weights, the engine or this software do."""
    from importlib.metadata import version

    record = folder / "bundle.json" if (folder / "bundle.json").exists() else folder / predict.ENSEMBLE
    told = f"{record.read_text(encoding='utf-8')}\n{engine}\n{version('tunesmith')}"
    return f"fp_{hashlib.sha256(told.encode()).hexdigest()[:12]}"
