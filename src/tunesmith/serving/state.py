"""What a running server has: its options, models, keys, gate, and who hears of what it answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith import plugins
from tunesmith.serving.gate import Gate
from tunesmith.serving.keys import Keys
from tunesmith.serving.live import Live
from tunesmith.serving.logs import Logs
from tunesmith.serving.models import Models, Served
from tunesmith.serving.options import Options
from tunesmith.serving.record import Observer, Record
from tunesmith.serving.refusal import Refusal, full

_LOG = logging.getLogger("tunesmith.serving")
_LOADING_S = 2.0


@dataclass
class Serving:
    """What a running server has.

    Args:
        options: as given.
        models: that answer.
        gate: who may come in.
        keys: who there is; None: no key is asked for.
        observers: hear of each request that is over, by the names of their files in ``observers/``.
        loading: whether models are still being loaded.
        logs: where the process logs; None: wherever Python does.
        live: what changes while it runs.
    """

    options: Options
    models: Models
    gate: Gate
    keys: Keys | None = None
    observers: Mapping[str, Observer] = field(default_factory=dict)
    loading: bool = True
    logs: Logs | None = None
    live: Live = field(default_factory=Live)
    stopped: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, options: Options) -> Serving:
        """A server's state before any model is loaded."""
        keys = Keys(options.keys) if options.keys else None
        serving = cls(options, Models(options), Gate(options), keys)
        named = {name: plugins.module("serving.observers", name) for name in plugins.names("serving.observers")}
        made = {name: module.observer(serving) for name, module in named.items()}
        serving.observers = {name: observer for name, observer in made.items() if observer is not None}
        return serving

    @property
    def ready(self) -> bool:
        """Whether requests can be answered now."""
        return not self.loading and not self.gate.stopping and self.models.ready

    def close(self) -> None:
        """End all workers, and let whoever hears of requests finish with what they heard."""
        self.models.close()
        for observer in self.observers.values():
            if (close := getattr(observer, "close", None)) is not None:
                close()

    def find(self, name: str | None) -> Served:
        """The model of a name; None: the only one.

        Raises:
            Refusal: there is none, or there may be one soon.
        """
        try:
            return self.models.find(name)
        except Refusal:
            if self.loading:
                raise full("models are being loaded", _LOADING_S, "model_loading") from None
            raise

    def observe(self, record: Record) -> None:
        """Tell everybody who hears of requests; whoever fails at it is logged and does no harm."""
        for observer in self.observers.values():
            try:
                observer(record)
            except Exception:
                _LOG.exception("request %s could not be observed", record.id)
