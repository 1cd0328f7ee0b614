"""Models change while the server answers: they are loaded, unloaded, swapped, and tried beside the present version.

A new version is opened in a thread and held against its golden answers before anybody is sent to it. An old one stays until
its last request is answered, at most the drain time. All that decides who answers happens on the event loop, and so between
two requests.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.errors import TunesmithError
from tunesmith.params import Params, param
from tunesmith.serving import allowed
from tunesmith.serving.differences import Differences
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.trials import Trial
from tunesmith.serving.worker import Load

if TYPE_CHECKING:
    from tunesmith.serving.call import Call
    from tunesmith.serving.models import Served
    from tunesmith.serving.state import Serving

_LOG = logging.getLogger("tunesmith.serving")
_STEP_S = 0.02


@dataclass
class Live:
    """What changes while a server runs.

    Args:
        calls: requests that are inside now; a set of Python's own, which another thread may list.
        trials: by the model's name.
        leaving: versions whose last requests are being answered, each with what waits for that.
        changing: is held by whoever changes models.
    """

    calls: set[Call] = field(default_factory=set)
    trials: dict[str, Trial] = field(default_factory=dict)
    leaving: dict[Served, asyncio.Task[None]] = field(default_factory=dict)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def inside(self, served: Served) -> int:
        """How many requests a version has."""
        return sum(call.served is served for call in list(self.calls))


def loads(serving: Serving) -> dict[Served, Load]:
    """Inputs that wait and that are answered, of each version that has some; any thread may ask.

    Versions may share a worker, which counts for all of them; so it is the requests that are counted.
    """
    found: dict[Served, Load] = {}
    for call in list(serving.live.calls):
        served, asked = call.served, call.asked
        if served is None or asked is None or asked.cancelled or asked.times.ended is not None:
            continue
        before = found.get(served, Load(0, 0, served.worker.load.cache))
        waiting, running = (asked.inputs, 0) if asked.times.started is None else (0, asked.inputs)
        found[served] = Load(before.waiting + waiting, before.running + running, before.cache)
    return found


class Version(Params):
    """A bundle that is to answer."""

    bundle: str = param(..., "The bundle's folder, below the folder of bundles that the server was started with.")
    engine: str | None = param(
        None, "What computes the answers; none: what the server was told, else the fastest.", plugin="engines"
    )


async def load(serving: Serving, name: str, version: Version) -> Served:
    """Load a model under a new name.

    Raises:
        TunesmithError: there is one of that name; it may not be loaded, or cannot.
    """
    async with serving.live.changing:
        if any(served.name == name for served in serving.models):
            raise _conflict(f"there is a model '{name}' already", "PUT swaps it for another version")
        return serving.models.put(await _opened(serving, name, version))


async def swap(serving: Serving, name: str, version: Version) -> Served:
    """Put another version in a model's place; where it cannot be opened, the old one stays.

    Raises:
        TunesmithError: there is no such model, a trial of it is going on, or the new version cannot be loaded.
    """
    async with serving.live.changing:
        old = _settled(serving, name)
        made = await _opened(serving, name, version)
        serving.models.put(made)
        _retire(serving, old)
        return made


async def unload(serving: Serving, name: str) -> Served:
    """Let nobody ask for a model any more, nor for a version of it that is on trial.

    Raises:
        Refusal: there is no such model.
    """
    async with serving.live.changing:
        if name in serving.live.trials:
            _ended(serving, name)
        old = serving.models.unload(name)
        _retire(serving, old)
        return old


async def start_trial(serving: Serving, name: str, version: Version, *, share: float, shadow: bool) -> Trial:
    """Try a version beside the present one.

    Raises:
        TunesmithError: there is no such model, a trial of it is going on already, the version is of another task, or
            cannot be loaded.
    """
    async with serving.live.changing:
        current = _settled(serving, name)
        made = await _opened(serving, name, version)
        if made.task != current.task:
            await asyncio.to_thread(serving.models.close_one, made)
            raise Refusal(
                f"its task is {made.task}, and that of '{name}' is {current.task}", "invalid_value", param="bundle"
            )
        trial = Trial(current, made, share, shadow, Differences(serving.options.log_texts))
        serving.live.trials[name] = trial
        return trial


async def end_trial(serving: Serving, name: str) -> Trial:
    """Send everybody to the present version again.

    Raises:
        Refusal: there is no trial.
    """
    async with serving.live.changing:
        return _ended(serving, name)


async def promote(serving: Serving, name: str) -> Trial:
    """Put the version on trial in the place of the present one.

    Raises:
        Refusal: there is no trial.
    """
    async with serving.live.changing:
        trial = trial_of(serving, name)
        trial.end()
        del serving.live.trials[name]
        serving.models.put(trial.served)
        _retire(serving, trial.current)
        return trial


def trial_of(serving: Serving, name: str) -> Trial:
    """The trial of a model.

    Raises:
        Refusal: there is none.
    """
    serving.models.find(name)
    if name not in serving.live.trials:
        raise Refusal(f"there is no trial of '{name}'", "trial_not_found", 404)
    return serving.live.trials[name]


def _settled(serving: Serving, name: str) -> Served:
    """A model of which no trial is going on."""
    found = serving.models.find(name)
    if name in serving.live.trials:
        raise _conflict(f"a trial of '{name}' is going on", "promote it or end it first")
    return found


async def _opened(serving: Serving, name: str, version: Version) -> Served:
    folder = await asyncio.to_thread(allowed.place, serving.options.bundle_folder, version.bundle)
    return await asyncio.to_thread(serving.models.open, name, folder, version.engine)


def _ended(serving: Serving, name: str) -> Trial:
    trial = trial_of(serving, name)
    trial.end()
    del serving.live.trials[name]
    _retire(serving, trial.served)
    return trial


def _retire(serving: Serving, served: Served) -> None:
    """Close a version that nobody is sent to any more once its requests are answered."""
    serving.live.leaving[served] = asyncio.create_task(_drained(serving, served))


async def _drained(serving: Serving, served: Served) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + serving.options.drain_timeout_s
    try:
        while serving.live.inside(served) and loop.time() < until:
            await asyncio.sleep(_STEP_S)
        if left := serving.live.inside(served):
            _LOG.warning("%s version %d goes with %d requests unfinished", served.name, served.version, left)
        with suppress(TunesmithError):  # the server ends, and with it the worker
            await asyncio.to_thread(serving.models.close_one, served)
    finally:
        serving.live.leaving.pop(served, None)


def _conflict(message: str, hint: str) -> Refusal:
    return Refusal(message, "conflict", 409, hint=hint)
