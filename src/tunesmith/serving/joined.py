"""LoRA bundles of one base model: one worker writes for all, in one batch, over one copy of the base model's weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError, UsageError
from tunesmith.serving.writers import Writer

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.predict import Model
    from tunesmith.side_by_side import SideBySide

_LOG = logging.getLogger("tunesmith.serving")


class JoinedWriter(Writer):
    """A writer that bundles join and leave while it answers; made anew, it has all of them again.

    Args:
        name: of the first bundle, within the worker.
        bundle: it.
        scheduling: options of the scheduler.
        most_waiting: inputs that may wait, of all bundles together.
    """

    def __init__(self, name: str, bundle: Bundle, scheduling: Mapping[str, Any], most_waiting: int) -> None:
        self.base = base(bundle)
        self._folders = {name: bundle.folder}
        self._scheduling = dict(scheduling)
        super().__init__(name, self._load_all, most_waiting)

    def join(self, name: str, folder: Path) -> None:
        """Answer for one more bundle of the base model. It is opened in the caller's thread, while the others go on.

        Raises:
            TunesmithError: it cannot be opened, or cannot share a batch.
        """
        before: SideBySide = self.built
        model = before.prepare(name, folder)
        self.between(lambda built: self._enter(built, before, name, model))

    def leave(self, name: str) -> None:
        """Answer no more for a bundle; the others go on, and without any the worker ends."""
        if set(self._folders) <= {name}:
            self.close()
        else:
            self.between(lambda built: self._go(built, name))

    def _enter(self, built: SideBySide, before: SideBySide, name: str, model: Model) -> None:
        if built is not before:  # made anew since; the bundle would keep the old base model
            model = built.prepare(name, model.bundle.folder)
        built.join(name, model)
        self._folders[name] = model.bundle.folder

    def _go(self, built: SideBySide, name: str) -> None:
        self._folders.pop(name, None)
        self.refuse(built, name)
        if name in built.models:
            built.remove(name)

    def _load_all(self) -> SideBySide:
        """All bundles; made anew, without those whose folders were changed or taken away meanwhile."""
        from tunesmith import side_by_side

        whole = self._folders if self.built is None else dict(filter(_is_whole, self._folders.items()))
        built = side_by_side.load(whole or self._folders, **self._scheduling)
        built.scheduler.warm()
        return built


def _is_whole(named: tuple[str, Path]) -> bool:
    from tunesmith import bundle as bundles

    try:
        bundles.open_bundle(named[1])
    except TunesmithError as error:
        _LOG.error("%s cannot be loaded anew and does not answer: %s", named[0], error)
        return False
    return True


def base(bundle: Bundle) -> tuple[str | None, str]:
    """What bundles must have in common to share a worker: the base model, and the numbers that it is computed with."""
    return bundle.base_fingerprint, bundle.precision


def can_join(bundle: Bundle) -> bool:
    """Whether a bundle that writes is an adapter that can share a batch."""
    from tunesmith.generation import lora

    if bundle.base_fingerprint is None or bundle.config.adapter_name != "lora":
        return False
    try:
        lora.read("", bundle.folder)
    except UsageError:
        return False
    return True
