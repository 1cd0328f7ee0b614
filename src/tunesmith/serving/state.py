"""What a running server has: its options, models, keys, gate, and who hears of what it answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunesmith.serving.gate import Gate
from tunesmith.serving.keys import Keys
from tunesmith.serving.models import Models
from tunesmith.serving.options import Options
from tunesmith.serving.record import Observer, Record

_LOG = logging.getLogger("tunesmith.serving")


@dataclass
class Serving:
    """What a running server has.

    Args:
        options: as given.
        models: that answer.
        gate: who may come in.
        keys: who there is; None: no key is asked for.
        observers: hear of each request that is over.
        loading: whether models are still being loaded.
    """

    options: Options
    models: Models
    gate: Gate
    keys: Keys | None = None
    observers: Sequence[Observer] = ()
    loading: bool = True
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, options: Options, observers: Sequence[Observer] = ()) -> Serving:
        """A server's state before any model is loaded."""
        keys = Keys(options.keys) if options.keys else None
        return cls(options, Models(options), Gate(options), keys, observers)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered now."""
        return not self.loading and not self.gate.stopping and self.models.ready

    def observe(self, record: Record) -> None:
        """Tell everybody who hears of requests; whoever fails at it is logged and does no harm."""
        for observer in self.observers:
            try:
                observer(record)
            except Exception:
                _LOG.exception("request %s could not be observed", record.id)
