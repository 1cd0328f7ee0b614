"""Bundles of one base model that answer in one batch: the base model is computed once for the rows of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import plugins, sources
from tunesmith.bundle import Bundle
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.generation import lora
from tunesmith.generation.decode import Job, Scheduler
from tunesmith.networks.shared import Bases
from tunesmith.predict import Input, Model
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
class _Asked:
    """What is asked of one bundle: the places of its inputs, their rows as they are read, and the jobs of these."""

    model: Model
    places: list[int]
    rows: pa.Table
    request: Any
    examples: Any
    jobs: list[Job]


class SideBySide:
    """Bundles of one base model.

    Args:
        models: the base model as each bundle asks it, by name.
        options: of the scheduler.
    """

    def __init__(self, models: Mapping[str, Model], options: Mapping[str, Any]) -> None:
        self.models = dict(models)
        first = next(iter(self.models.values()))
        network = first.engine.network
        assert network is not None
        folders = {name: model.bundle.folder for name, model in self.models.items()}
        self.scheduler = Scheduler(network.backbone.model, first.tokenizer, adapters=folders, **options)

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
            waiting: list[_Asked] = []
            stack.callback(self._cancel, waiting)
            for name, mine in places.items():
                folder = stack.enter_context(self.models[name]._reading())
                waiting.append(self._ask(name, mine, [asked[place][1] for place in mine], request, folder))
            while not self.scheduler.idle:
                self.scheduler.step()
            for one in waiting:
                for place, answer in zip(one.places, self._answered(one), strict=True):
                    found[place] = answer
        return found

    def _ask(
        self, name: str, places: list[int], inputs: Sequence[Input], given: dict[str, Any], folder: Path
    ) -> _Asked:
        model = self.models[name]
        task: GeneratingTask = model.task  # type: ignore[assignment]
        request, rows = model.request(**given), model._table(inputs)
        examples: Any = task.encode(rows, model.tokenizer, model.bundle.config.model, folder)
        prompts = examples.prompts()
        each = task.asked_of(model._reader, prompts, request)
        facts = model.engine.facts  # also where its answers begin, as the task pointed it
        start = facts.start if facts.has_encoder else None
        jobs: list[Job] = []
        try:
            for prompt, one in zip(prompts, each, strict=True):
                jobs.append(self.scheduler.submit(prompt, one, start=start, adapter=name))
        except BaseException:
            for job in jobs:
                self.scheduler.cancel(job)
            raise
        return _Asked(model, places, rows, request, examples, jobs)

    def _cancel(self, waiting: Sequence[_Asked]) -> None:
        """Leave nothing behind, whatever went wrong."""
        for one in waiting:
            for job in one.jobs:
                self.scheduler.cancel(job)

    def _answered(self, one: _Asked) -> list[dict[str, Any]]:
        task: GeneratingTask = one.model.task  # type: ignore[assignment]
        scored = task.told(one.rows, one.examples, [job.results for job in one.jobs])
        return one.model._told(scored, one.request)
