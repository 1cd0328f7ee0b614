"""Which bundles a server is to serve, as operators write them: ``NAME=FOLDER@ENGINE``, of which the folder alone must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith import plugins
from tunesmith.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Wanted:
    """A bundle to serve.

    Args:
        name: what callers call it.
        folder: where it lies.
        engine: what computes it, or the address of a server that does; None: as for all.
    """

    name: str
    folder: str
    engine: str | None = None


def read(given: Sequence[str]) -> tuple[Wanted, ...]:
    """The bundles that are wanted.

    Raises:
        UsageError: two have one name, or there is no such engine.
    """
    found: dict[str, Wanted] = {}
    for text in given:
        one = _one(text)
        if one.name in found:
            hint = "give one another name: NAME=FOLDER"
            raise UsageError(f"two bundles are called '{one.name}'", where=text, hint=hint)
        found[one.name] = one
    return tuple(found.values())


def _one(text: str) -> Wanted:
    """A bundle; what exists as it is written is a folder, whatever signs are in its name."""
    if Path(text).exists():
        return Wanted(Path(text).resolve().name, text)
    name, named, rest = text.partition("=")
    if not named or "/" in name:
        name, rest = "", text
    folder, engine = (rest, None) if Path(rest).exists() else _apart(rest, text)
    return Wanted(name or Path(folder).resolve().name, folder, engine)


def _apart(rest: str, text: str) -> tuple[str, str | None]:
    """Folder and engine."""
    folder, found, engine = rest.rpartition("@")
    if not found:
        return rest, None
    known = plugins.names("engines")
    if engine not in known and not engine.startswith(("http://", "https://")):
        raise UsageError(f"there is no engine '{engine}'", where=text, hint=did_you_mean(engine, known))
    return folder, engine
