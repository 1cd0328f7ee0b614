"""The models that are served, by name; each with the worker that answers for it."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import bundle as bundles
from tunesmith import engine_choice, predict
from tunesmith.engines.base import engine_name
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.network_engine import NetworkEngine
from tunesmith.serving import refusal
from tunesmith.serving.options import Options
from tunesmith.serving.readers import Reader
from tunesmith.serving.worker import Worker
from tunesmith.serving.writers import Writer

if TYPE_CHECKING:
    from tunesmith.predict import Model

_VERSIONS = itertools.count(1)


@dataclass(eq=False)
class Served:
    """A bundle that answers.

    Args:
        name: what callers call it.
        folder: the bundle.
        model: the model as opened, for checking requests; it is computed by the worker's thread alone.
        worker: who answers.
        engine: what computes it.
        fingerprint: of the bundle, the engine and this software: same fingerprint, same seed, same answer.
    """

    name: str
    folder: Path
    model: Model
    worker: Worker
    engine: str
    fingerprint: str
    version: int = field(default_factory=lambda: next(_VERSIONS))
    since: float = field(default_factory=time.time)

    @property
    def task(self) -> str:
        """The name of its task."""
        return self.model.bundle.config.task_name


class Models:
    """The models that are served. Any thread may ask; loading happens in the caller's thread.

    Args:
        options: of the server.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._served: dict[str, Served] = {}
        self._changing = threading.RLock()

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
        with self._changing:
            if name in self._served:
                raise UsageError(f"there is a model '{name}' already", hint="unload it first, or swap it")
            made = self.open(name, folder, engine)
            self._served[name] = made
            return made

    def open(self, name: str, folder: str | Path, engine: str | None = None) -> Served:
        """Open a bundle and try it, without letting anybody ask for it."""
        folder, engine = Path(folder), engine or self._options.engine
        worker = self._worker(name, folder, engine)
        worker.start()
        try:
            model = worker.between(lambda built: _model(built, name))
            worker.between(lambda _: model.replay())
        except BaseException:
            worker.close()
            raise
        chosen = _engine_of(folder, engine)
        return Served(name, folder, model, worker, chosen, _fingerprint(folder, chosen))

    def unload(self, name: str) -> Served:
        """Let nobody ask for a model any more; what it was asked before is answered, if its worker is closed after that."""
        with self._changing:
            return self._served.pop(self.find(name).name)

    @property
    def ready(self) -> bool:
        """Whether there are models and all of them answer."""
        return bool(self._served) and all(served.worker.ready for served in self)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked of any."""
        return all(served.worker.idle for served in self)

    def close(self) -> None:
        """End all workers."""
        for served in self:
            served.worker.close()

    def _worker(self, name: str, folder: Path, engine: str | None) -> Worker:
        """The kind of worker that suits a bundle and its engine."""
        options = self._options
        if _steps(folder, engine):
            scheduling = {"max_rows": options.max_rows, "prefix_bytes": options.prefix_bytes}
            return Writer(name, partial(_side_by_side, name, folder, engine, scheduling), options.max_waiting)
        return Reader(
            name,
            partial(_alone, name, folder, engine),
            options.max_waiting,
            batch_tokens=options.max_batch_tokens,
            wait_s=options.batch_wait_ms / 1000,
        )


def _steps(folder: Path, engine: str | None) -> bool:
    """Whether a bundle's texts are written by our own scheduler, token by token."""
    if (folder / predict.ENSEMBLE).exists() or (engine or "").startswith("http"):
        return False
    opened = bundles.open_bundle(folder)
    return opened.task.writes and issubclass(engine_choice.engine_of(folder, engine), NetworkEngine)


def _alone(name: str, folder: Path, engine: str | None) -> dict[str, Model]:
    return {name: predict.load(folder, engine)}


def _side_by_side(name: str, folder: Path, engine: str | None, scheduling: Mapping[str, Any]) -> Any:
    """A scheduler of its own; a LoRA bundle's adapter stays beside its base model, so that others can join it."""
    from tunesmith import side_by_side

    opened = bundles.open_bundle(folder)
    chosen = engine_name(engine_choice.engine_of(folder, engine))
    if chosen == "pytorch" and opened.base_fingerprint is not None and opened.config.adapter_name == "lora":
        return side_by_side.load({name: folder}, **scheduling)
    model = predict.load(folder, engine)
    return side_by_side.SideBySide({name: model}, {**scheduling, "engine": chosen}, shared=False)


def _model(built: Any, name: str) -> Model:
    model: Model = (built if isinstance(built, dict) else built.models)[name]
    return model


def _engine_of(folder: Path, engine: str | None) -> str:
    return engine or engine_name(engine_choice.engine_of(folder))


def _fingerprint(folder: Path, engine: str) -> str:
    """A short text that differs where the weights, the engine or this software do."""
    from importlib.metadata import version

    record = folder / "bundle.json" if (folder / "bundle.json").exists() else folder / predict.ENSEMBLE
    told = f"{record.read_text(encoding='utf-8')}\n{engine}\n{version('tunesmith')}"
    return f"fp_{hashlib.sha256(told.encode()).hexdigest()[:12]}"
