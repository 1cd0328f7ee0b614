"""Which engine computes a bundle where the caller names none: the one that was fastest here, or one that can open it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import bundle as bundles
from tunesmith import machine, plugins
from tunesmith.errors import BundleError

if TYPE_CHECKING:
    from tunesmith.engines.base import Engine

CHOICES = "engine.json"
"""In a bundle: the fastest engine by the machine that it was measured on."""

_FIRST = "pytorch"


def openable(folder: Path) -> list[str]:
    """Names of the engines that find a model of their form in a bundle, PyTorch first."""
    found = [name for name in plugins.names("engines") if plugins.load("engines", name).finds(folder)]
    return sorted(found, key=lambda name: (name != _FIRST, name))


def engine_of(folder: Path, name: str | None = None) -> type[Engine]:
    """The engine by its name, or the one that was fastest on this machine, or else the first that can open the bundle.

    Where none is named, those whose packages are not installed are passed over: an export answers without PyTorch.

    Raises:
        BundleError: no engine finds a model of its form, or not the one that was named.
    """
    can = openable(folder)
    if name is not None and name not in can:
        held = f"it holds one for {', '.join(can)}" if can else "it holds none"
        raise BundleError(f"the bundle holds no model for the engine {name}", where=str(folder), hint=held)
    if not can:
        raise BundleError("the bundle holds no model that an engine here can open", where=str(folder))
    here = [one for one in can if _is_installed(one)] or can
    chosen = name or recorded(folder)
    engine: type[Engine] = plugins.load("engines", chosen if chosen in (can if name else here) else here[0])
    return engine


def _is_installed(name: str) -> bool:
    """Whether the package that an engine needs is there; nothing is imported to find out."""
    needs = plugins.load("engines", name).needs
    try:
        return not needs or importlib.util.find_spec(needs) is not None
    except (ModuleNotFoundError, ValueError):  # something keeps it from being found, or put half a module in its place
        return False


def recorded(folder: Path) -> str | None:
    """The engine that was fastest on this machine; None where that was not measured."""
    return _choices(folder).get(this_machine())


def record(folder: Path, name: str) -> None:
    """Keep the engine that was fastest on this machine."""
    choices = {**_choices(folder), this_machine(): name}
    bundles.write_text(folder / CHOICES, json.dumps(choices, indent=1))


def this_machine() -> str:
    """A short text that differs where the processor, or how many cores there are, does."""
    told = (platform.system(), platform.machine(), machine.processor(), str(machine.cores()))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _choices(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / CHOICES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
