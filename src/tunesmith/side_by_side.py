"""Bundles of one base model that answer in one batch: the base model is computed once for the rows of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import plugins, requested, sources
from tunesmith.bundle import Bundle
from tunesmith.engines.base import Engine
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.generation import honours, lora
from tunesmith.generation.answers import Generated
from tunesmith.generation.decode import Job, Scheduler
from tunesmith.generation.facts import Facts
from tunesmith.generation.request import GenerationRequest
from tunesmith.networks.shared import Bases
from tunesmith.predict import Input, Model
from tunesmith.tasks.base import Scored
from tunesmith.writing import raw
from tunesmith.writing.generating import GeneratingTask


def load(folders: Mapping[str, str | Path] | Iterable[str | Path], **options: Any) -> SideBySide:
    """Open bundles that trained LoRA on one base model, by tasks that write.

    Args:
        folders: the bundles by name; without names those of their folders.
        options: of ``generation.decode.Scheduler``.

    Raises:
        UsageError: one is of another base model, or its adapter cannot share a batch; it says which and why.
    """
    named = folders if isinstance(folders, Mapping) else {Path(folder).name: folder for folder in folders}
    if not named or (not isinstance(folders, Mapping) and len(named) < len(list(folders))):
        raise UsageError("bundles need names that differ", hint="give a mapping of names to folders")
    opened = {name: bundles.open_bundle(folder) for name, folder in named.items()}
    _check(opened)
    bases = Bases()
    models = {name: _untuned(replace(bundle, untuned=True, bases=bases)) for name, bundle in opened.items()}
    return SideBySide(models, options)


def _untuned(bundle: Bundle) -> Model:
    """The base model, read and asked as the bundle is."""
    return Model(bundle, plugins.load("engines", "pytorch").open(bundle), bundle.tokenizer())


def _check(opened: Mapping[str, Bundle]) -> None:
    first, one = next(iter(opened.items()))
    for name, bundle in opened.items():
        if not isinstance(bundle.task, GeneratingTask):
            raise UsageError(
                f"'{name}' does not write: its task is {bundle.config.task_name}", where=str(bundle.folder)
            )
        if bundle.base_fingerprint is None:
            raise lora.refusal(name, "its bundle is a whole model")
        if bundle.config.adapter_name != "lora":
            raise lora.refusal(name, f"it is {bundle.config.adapter_name}")
        if bundle.base_fingerprint != one.base_fingerprint:
            raise UsageError(f"'{name}' is of another base model than '{first}'", where=str(bundle.folder))
        if sources.fingerprint(sources.resolve(bundle.config.model.base or "").path) != bundle.base_fingerprint:
            raise UsageError(f"the base model of '{name}' has changed since", where=str(bundle.folder))


@dataclass(frozen=True)
class Put:
    """What was put to one bundle: its rows as they are read, and the jobs of these."""

    model: Model
    rows: pa.Table
    request: Any
    examples: Any
    jobs: list[Job]

    @property
    def done(self) -> bool:
        """Whether all is answered."""
        return all(job.done for job in self.jobs)

    def told(self) -> Scored:
        """The rows with what was written for them, once that is done."""
        task: GeneratingTask = self.model.task  # type: ignore[assignment]
        return task.told(self.rows, self.examples, [job.results for job in self.jobs])


class _Beside(Engine):
    """Computes a bundle by the base model in the batch of all, with the bundle's adapter."""

    honours = honours.everything()

    def __init__(self, base: Engine, scheduler: Scheduler, name: str) -> None:
        self.network, self._base, self._scheduler, self._name = base.network, base, scheduler, name

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        raise NotImplementedError("it shares a scheduler, and is made by SideBySide")

    def outputs(self, inputs: Mapping[str, Any]) -> Any:
        raise NotImplementedError("the base model alone knows nothing of the adapter")

    @property
    def facts(self) -> Facts:
        return self._base.facts

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        jobs = [
            self._scheduler.submit(prompt, request, adapter=self._name)
            for prompt, request in zip(prompts, requests, strict=True)
        ]
        while not all(job.done for job in jobs):
            self._scheduler.step()
        return [job.results for job in jobs]


class SideBySide:
    """Bundles of one base model, or a model by itself.

    Args:
        models: by name; where there are adapters, the base model as each bundle asks it.
        options: of the scheduler.
        shared: whether the bundles' weights are adapters beside the model, rather than in it.
    """

    def __init__(self, models: Mapping[str, Model], options: Mapping[str, Any], *, shared: bool = True) -> None:
        self.models = dict(models)
        first = next(iter(self.models.values()))
        network = first.engine.network
        assert network is not None
        self._shared, self._first = shared, first.bundle
        folders = {name: model.bundle.folder for name, model in self.models.items()} if shared else {}
        model = network.eval().backbone.model
        self.scheduler = Scheduler(model, first.tokenizer, adapters=folders, **options)
        for name in self.models if shared else ():
            self._put_beside(name)

    def add(self, name: str, folder: str | Path) -> Model:
        """Open one more bundle of the base model.

        Raises:
            UsageError: it is of another base model, or its adapter cannot share a batch.
        """
        model = self.prepare(name, folder)
        self.join(name, model)
        return model

    def prepare(self, name: str, folder: str | Path) -> Model:
        """Open a bundle over the weights of the base model; other threads may, while this one answers.

        Raises:
            UsageError: it is of another base model, or is no adapter that can share a batch.
        """
        opened = bundles.open_bundle(folder)
        _check({"": self._first, name: opened})
        return _untuned(replace(opened, untuned=True, bases=self._first.bases))

    def join(self, name: str, model: Model) -> None:
        """Answer for a bundle that was prepared.

        Raises:
            UsageError: its adapter cannot share a batch, or there is one of that name.
        """
        self.scheduler.add_adapter(name, model.bundle.folder)
        self.models[name] = model
        self._put_beside(name)

    def _put_beside(self, name: str) -> None:
        """Have a bundle's own answers, golden ones too, come with its adapter out of the batch."""
        model = self.models[name]
        model.engine = _Beside(model.engine, self.scheduler, name)
        model.reader = replace(model.reader, engine=model.engine)

    def remove(self, name: str) -> None:
        """Let nobody ask a bundle any more; those that did are answered."""
        self.scheduler.remove_adapter(name)
        del self.models[name]

    def answers(self, asked: Sequence[tuple[str, Input]], **request: Any) -> list[dict[str, Any]]:
        """Answer each input by the bundle that is named with it.

        Args:
            asked: names and inputs, as ``Model.answers`` takes them.
            request: request parameters for all; those not given are each bundle's defaults.

        Raises:
            UsageError: as ``Model.answers``, or there is no bundle of a name.
        """
        places: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(asked):
            if name not in self.models:
                raise UsageError(f"there is no bundle '{name}'", hint=did_you_mean(name, sorted(self.models)))
            places.setdefault(name, []).append(place)
        found: list[dict[str, Any]] = [{} for _ in asked]
        with ExitStack() as stack:
            waiting: list[tuple[Put, list[int]]] = []
            stack.callback(self._cancel_all, waiting)
            for name, mine in places.items():
                model = self.models[name]
                rows = model.rows([asked[place][1] for place in mine])
                folder = stack.enter_context(model.reading())
                waiting.append((self.put(name, rows, model.request(**request), folder), mine))
            while not self.scheduler.idle:
                self.scheduler.step()
            for one, mine in waiting:
                for place, answer in zip(mine, one.model.told(one.told(), one.request), strict=True):
                    found[place] = answer
        return found

    def put(self, name: str, rows: pa.Table, request: Any, folder: Path) -> Put:
        """Queue rows for one of the bundles; a folder holds their tokens.

        Raises:
            UsageError: they cannot be answered; nothing is queued then.
        """
        model = self.models[name]
        task: GeneratingTask = model.task  # type: ignore[assignment]
        examples: Any = task.encode(
            rows, model.tokenizer, requested.reading(model.bundle.config.model, request), folder
        )
        prompts = examples.prompts()
        jobs = self._submit(name, prompts, task.asked_of(model.reader, prompts, request))
        return Put(model, rows, request, examples, jobs)

    def _submit(self, name: str, prompts: Sequence[Sequence[int]], each: Sequence[Any]) -> list[Job]:
        """A job for each prompt, or none at all."""
        facts = self.models[name].engine.facts  # also where its answers begin, as the task pointed it
        start = facts.start if facts.has_encoder else None
        jobs: list[Job] = []
        try:
            for prompt, one in zip(prompts, each, strict=True):
                jobs.append(self.scheduler.submit(prompt, one, start=start, adapter=self.adapter(name)))
        except BaseException:
            for job in jobs:
                self.scheduler.cancel(job)
            raise
        return jobs

    def go_on(self, name: str, texts: Sequence[str | Sequence[int]], request: Any) -> list[Job]:
        """Queue texts, or their tokens, that a bundle's model goes on with as they are, without its task's own form.

        Raises:
            UsageError: as for ``put``.
        """
        model = self.models[name]
        task: GeneratingTask = model.task  # type: ignore[assignment]
        prompts = raw.prompts(model.tokenizer, texts)
        return self._submit(name, prompts, task.asked_of(model.reader, prompts, request))

    def adapter(self, name: str) -> str | None:
        """What the scheduler calls a bundle's adapter; None: it has none of its own."""
        return name if self._shared else None

    def cancel(self, put: Put) -> None:
        """End what was put as it stands, and leave nothing of it behind."""
        for job in put.jobs:
            self.scheduler.cancel(job)

    def _cancel_all(self, waiting: Sequence[tuple[Put, list[int]]]) -> None:
        for put, _ in waiting:
            self.cancel(put)
