"""The bundle that an answer came from, as far as its answers cannot be read without it; a log keeps one for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import bundle as bundles
from tunesmith import params, plugins, predict
from tunesmith.errors import BundleError
from tunesmith.kept.forms import Form, form_of
from tunesmith.kept.texts import text_of
from tunesmith.kept.training import Summary
from tunesmith.tasks.base import Target, Task

if TYPE_CHECKING:
    from tunesmith.params import Params


@dataclass(frozen=True)
class Origin:
    """A bundle, without its weights.

    Args:
        id: of its content.
        folder: where it lay.
        task_name: its task.
        options: the task's options, as plain values.
        columns: the task's names of columns, each with the name in the training data; None: not there.
        label_separator: between the labels of a cell.
        target: what it predicts.
        training: what its training rows were like; None: it does not remember.
    """

    id: str
    folder: str
    task_name: str
    options: Mapping[str, Any]
    columns: Mapping[str, str | None]
    label_separator: str | None
    target: Target
    training: Summary | None = field(default=None, repr=False)

    @cached_property
    def task(self) -> Task:
        """The task plugin with the options."""
        chosen: type[Params] = plugins.module("tasks", self.task_name).Params
        task: Task = plugins.load("tasks", self.task_name)(params.check(chosen, self.options))
        return task

    @cached_property
    def form(self) -> Form:
        """What its answers say."""
        return form_of(self.task, self.target)

    def text(self, given: Any) -> str:
        """What an input says.

        Raises:
            RowError: it cannot be read.
        """
        task = self.task
        return text_of(task.read_input(predict.by_column(given, task.inputs)), task.inputs)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        training = None if self.training is None else self.training.to_json()
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**plain, "target": self.target.to_json(), "training": training}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Origin:
        """From what ``to_json`` gave."""
        training = None if values["training"] is None else Summary.from_json(values["training"])
        return cls(**{**values, "target": Target.from_json(values["target"]), "training": training})


def id_of(folder: Path) -> str:
    """A short text that differs where what was learned does; the engine does not matter.

    Raises:
        BundleError: there is no bundle.
    """
    record = next((folder / name for name in ("bundle.json", predict.ENSEMBLE) if (folder / name).exists()), None)
    if record is None:
        raise BundleError("not a bundle", where=str(folder))
    return hashlib.sha256(record.read_bytes()).hexdigest()[:16]


def of_folder(folder: str | Path) -> Origin:
    """The origin of what a bundle answers; of an ensemble, what its first model tells.

    Raises:
        BundleError: there is no bundle, or it is damaged.
    """
    folder = Path(folder)
    if (folder / predict.ENSEMBLE).exists():
        first = json.loads((folder / predict.ENSEMBLE).read_text(encoding="utf-8"))["members"][0]
        return replace(of_folder(folder / first), id=id_of(folder), folder=str(folder))
    opened = bundles.open_bundle(folder, whole=False)
    config = opened.config
    return Origin(
        id=id_of(folder),
        folder=str(folder.resolve()),
        task_name=config.task_name,
        options=_plain(config.task),
        columns=_plain(config.columns),
        label_separator=config.data.label_separator,
        target=opened.target,
        training=Summary.of(folder),
    )


def _plain(group: Params) -> dict[str, Any]:
    """A group's values by what users call them, without the name of the plugin."""
    found: dict[str, Any] = group.model_dump(mode="json", by_alias=True)
    found.pop("name", None)
    return found
