"""Plugins by name: a folder is a registry, a file in it is a plugin, its name is what users type.

``tasks/text_classification.py`` is the task ``text-classification``. Where a plugin is only a function
(an optimizer, a schedule) the registry is a module, ``train/optimizers.py``, and each of its public functions is a
plugin of the kind ``train.optimizers``. Nothing is registered by hand: a new file, or a new function, is there.
"""

from __future__ import annotations

import ast
import functools
import importlib
from pathlib import Path
from typing import Any

from tunesmith.errors import UsageError, did_you_mean

_ROOT = Path(__file__).parent


def names(kind: str) -> tuple[str, ...]:
    """Names of all plugins of a kind (``"tasks"``, ``"adapters"``, ``"optimizers"`` ...), sorted.

    Reads the folder or the module's syntax tree; imports nothing.

    >>> "text-classification" in names("tasks")
    True
    """
    folder = _place(kind)
    found = _files(folder) if folder.is_dir() else _functions(folder.with_suffix(".py"))
    return tuple(sorted(name.replace("_", "-") for name in found))


def load(kind: str, name: str) -> Any:
    """The plugin ``name``: the class of a plugin file that is named like the kind (``Task``), or a function.

    Raises:
        UsageError: no such plugin; names the nearest.
    """
    found = module(kind, name)
    return getattr(found, singular(kind).capitalize() if _place(kind).is_dir() else name.replace("-", "_"))


def module(kind: str, name: str) -> Any:
    """The module that a plugin is, or is in; its declarations (``Params``, ``Request`` ...) stand beside its class."""
    if name not in names(kind):
        raise UsageError(f"unknown {singular(kind)} '{name}'", hint=did_you_mean(name, names(kind)))
    inside = f".{name.replace('-', '_')}" if _place(kind).is_dir() else ""
    return importlib.import_module(f"tunesmith.{kind}{inside}")


def summary(kind: str, name: str) -> str:
    """First line of a plugin's documentation, read without importing it."""
    identifier = name.replace("-", "_")
    folder = _place(kind)
    if folder.is_dir():
        text = ast.get_docstring(_tree(folder / f"{identifier}.py"))
    else:
        body = _tree(folder.with_suffix(".py")).body
        found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == identifier]
        text = ast.get_docstring(found[0])
    return (text or "").splitlines()[0] if text else ""


def singular(kind: str) -> str:
    """What one plugin of a kind is called: ``train.optimizers`` -> ``optimizer``."""
    return kind.rpartition(".")[2].removesuffix("s")


def _place(kind: str) -> Path:
    return _ROOT.joinpath(*kind.split("."))


def _files(folder: Path) -> list[str]:
    hidden = ("_", "base.")
    return [path.stem for path in folder.glob("*.py") if not path.name.startswith(hidden)]


def _functions(module: Path) -> list[str]:
    body = _tree(module).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


@functools.cache
def _parsed(path: Path, _modified_ns: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _tree(path: Path) -> ast.Module:
    return _parsed(path, path.stat().st_mtime_ns)
