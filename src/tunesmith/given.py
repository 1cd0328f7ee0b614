"""Values that were given for parameters, each with the place that it came from: a YAML file, variables, a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunesmith.errors import Problem, UsageError
from tunesmith.params import ENVIRONMENT_PREFIX

PLUGIN_SECTIONS = {"task": "text-classification", "adapter": "full"}
"""Sections that belong to a plugin, with the one that is taken when none is named; ``task`` is short for ``task.name``."""

RESERVED_VARIABLES = frozenset({"TUNESMITH_CACHE", "TUNESMITH_DEBUG"})
_DEPTH = 4


@dataclass(frozen=True)
class Given:
    """A value that somebody gave and the place where they did; ``text`` is still to be read as its type."""

    value: Any
    origin: str
    text: bool = False


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: ``1:30`` is a text, not the number 90 (to the base of 60)."""

    def number(self, node: yaml.ScalarNode) -> Any:
        """A number, or the text where it has a colon."""
        if ":" in node.value:
            return node.value
        return self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)


for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.number)


def in_call(flags: Mapping[str, str], keywords: Mapping[str, Any]) -> dict[str, Given]:
    """What a call gives, as flags with their text or as Python keywords.

    Raises:
        UsageError: a name is given twice.
    """
    from_flags = ((long(name), Given(text, f"--{name}", text=True)) for name, text in flags.items())
    from_keywords = ((path, Given(value, f"argument {path}")) for path, value in flatten(keywords))
    return once([*from_flags, *from_keywords])


def once(pairs: Iterable[tuple[str, Given]]) -> dict[str, Given]:
    """Values by dotted name; a name that one place gives twice, such as by its short and its long form, is an error."""
    found: dict[str, Given] = {}
    for path, given in pairs:
        if path in found:
            origins = f"{found[path].origin} and {given.origin}"
            raise UsageError(f"'{path}' is given twice", where=origins)
        found[path] = given
    return found


def long(name: str) -> str:
    """``task`` stands for ``task.name``."""
    return f"{name}.name" if name in PLUGIN_SECTIONS else name


def flatten(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested to dotted names; sections are one level deep, a mapping that lies deeper is a value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and "." not in str(name):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        elif value is not None or name not in PLUGIN_SECTIONS:
            yield long(str(name)), value


def in_variables(variables: Mapping[str, str]) -> dict[str, Given]:
    """What ``TUNESMITH_TRAIN_EPOCHS`` and its like give; a misspelt one is kept, for the check to refuse."""
    ours = (name for name in variables if name.startswith(ENVIRONMENT_PREFIX) and name not in RESERVED_VARIABLES)
    return once((_path_of(name), Given(variables[name], f"environment variable {name}", text=True)) for name in ours)


def _path_of(variable: str) -> str:
    """The parameter of a variable: ``TUNESMITH_TRAIN_MAX_TIME`` -> ``train.max_time``; no section has a ``_`` in its name."""
    section, _, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
    return f"{section}.{name}" if name else long(section)


def in_file(path: Path) -> dict[str, Given]:
    """What a YAML config gives.

    Raises:
        UsageError: it cannot be read, is not a mapping, or gives a name twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise UsageError(f"cannot read the config: {error.strerror}", where=str(path)) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"not valid YAML: {getattr(error, 'problem', error)}", where=where) from None
    if not isinstance(values, dict):
        raise UsageError("a config is a mapping of names to values", where=str(path))
    lines = _lines(root, str(path))
    return {name: Given(value, f"{path}:{lines.get(name, 1)}") for name, value in flatten(values)}


def _lines(root: Any, file: str) -> dict[str, int]:
    """Line of every key; a key given twice is an error, since YAML would silently take the last."""
    lines: dict[str, int] = {}
    repeated: list[Problem] = []
    for name, line in _keys(root):
        if name in lines:
            repeated.append(Problem(f"'{name}' is given twice", f"{file}:{line}", f"first in line {lines[name]}"))
        lines.setdefault(name, line)
    if repeated:
        raise UsageError("the config contradicts itself", problems=repeated)
    return lines


def _keys(node: yaml.MappingNode, parents: tuple[str, ...] = ()) -> Iterator[tuple[str, int]]:
    """Dotted name and line of each key: of sections, of parameters, and of what a parameter maps."""
    for key, value in node.value:
        place = (*parents, str(key.value))
        is_mapping = isinstance(value, yaml.MappingNode)
        yield ".".join(place) if is_mapping else long(".".join(place)), key.start_mark.line + 1
        if is_mapping and len(place) < _DEPTH:
            yield from _keys(value, place)
