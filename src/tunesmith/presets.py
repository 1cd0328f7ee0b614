"""Presets: named sets of request parameters in a bundle, which callers name instead of repeating them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.bundle import write_text
from tunesmith.errors import BundleError, UsageError, did_you_mean

FILE = "presets.json"


@dataclass(frozen=True)
class Preset:
    """Request parameters under a name.

    Args:
        parameters: values by name; those not named are the bundle's defaults.
        summary: what it is for.
        evidence: what was measured with it, for people.
    """

    parameters: Mapping[str, Any]
    summary: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


def read(folder: Path) -> dict[str, Preset]:
    """The presets of a bundle.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {name: _preset(**preset) for name, preset in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        raise BundleError("the presets cannot be read", where=str(folder / FILE)) from None


def _preset(parameters: Mapping[str, Any], **more: Any) -> Preset:
    return Preset(dict(parameters.items()), **more)


def find(folder: Path, name: str) -> Preset:
    """One preset of a bundle.

    Raises:
        UsageError: there is none of that name.
    """
    return named(read(folder), name)


def named(known: Mapping[str, Preset], name: str) -> Preset:
    """The one of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in known:
        hint = did_you_mean(name, sorted(known)) or "the bundle has no presets"
        raise UsageError(f"there is no preset '{name}'", where="preset", hint=hint)
    return known[name]


def save(folder: Path, name: str, preset: Preset) -> None:
    """Keep a preset, in place of one of the same name."""
    rows = {name: asdict(one) for name, one in {**read(folder), name: preset}.items()}
    write_text(folder / FILE, json.dumps(rows, indent=1, ensure_ascii=False))
