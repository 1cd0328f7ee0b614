"""Every request parameter described for programs: schema, default, legal values, formula, order, search range, engines."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, get_args

from tunesmith import params, plugins, presets
from tunesmith.generation.honours import Honours
from tunesmith.generation.request import GenerationRequest, SamplerName
from tunesmith.params import Params
from tunesmith.serving.checking import Asking

if TYPE_CHECKING:
    from tunesmith.serving.models import Served

_SAMPLERS: tuple[str, ...] = get_args(SamplerName)


def task(name: str, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The request parameters of a task.

    Args:
        name: of the task.
        defaults: of a bundle, where its own are meant.

    Returns:
        ``parameters``: name to description; ``$defs``: what their schemas refer to; ``order``: in which samplers run.
    """
    group: type[Params] = plugins.module("tasks", name).Request
    schema = params.schema(group)
    writes = issubclass(group, GenerationRequest)
    rows = {leaf.path: _row(leaf, schema["properties"][leaf.path], writes=writes) for leaf in params.leaves(group)}
    for parameter, value in (defaults or {}).items():
        rows[parameter]["default"] = value
    found: dict[str, Any] = {"task": name, "summary": plugins.summary("tasks", name), "parameters": rows}
    if "$defs" in schema:
        found["$defs"] = schema["$defs"]
    return {**found, "order": list(_SAMPLERS)} if writes else found


def model(served: Served) -> dict[str, Any]:
    """The request parameters of a served model, with its bundle's own defaults and presets."""
    defaults = served.model.request().model_dump(mode="json", by_alias=True)
    named = {name: asdict(preset) for name, preset in presets.read(served.folder).items()}
    return {"model": served.name, "engine": served.engine, **task(served.task, defaults), "presets": named}


def fields() -> dict[str, Any]:
    """The fields that any request may have beside its parameters."""
    schema = params.schema(Asking)["properties"]
    return {leaf.path: _told(leaf, schema[leaf.path]) for leaf in params.leaves(Asking)}


def _told(leaf: params.Leaf, schema: Mapping[str, Any]) -> dict[str, Any]:
    hidden = ("search", "default", "description", "title")
    told: dict[str, Any] = {
        "help": leaf.help,
        "legal": leaf.legal,
        "default": schema.get("default"),
        "schema": {name: value for name, value in schema.items() if name not in hidden},
    }
    return told | ({"search": asdict(leaf.search)} if leaf.search else {})


def _row(leaf: params.Leaf, schema: Mapping[str, Any], *, writes: bool) -> dict[str, Any]:
    place = _place(leaf.path) if writes else None
    found = {**_told(leaf, schema), "engines": _engines(leaf.path) if writes else {"every": {"honoured": "always"}}}
    return found if place is None else {**found, "formula": leaf.help, "order": place}


def _place(name: str) -> int | None:
    """The place of a parameter's sampler in the usual order; those of a sampler with several begin with its name."""
    found = (n for n, sampler in enumerate(_SAMPLERS) if name == sampler or name.startswith(f"{sampler}_"))
    return next(found, None)


def _engines(name: str) -> dict[str, dict[str, str]]:
    """Of each engine that writes whether it honours a parameter: always, never, or where something holds."""
    found = {}
    for engine, honours in declared().items():
        when = honours.get(name)
        how = "never" if when is None else "always" if not when.where else "where"
        found[engine] = {"honoured": how, **({"where": when.where} if when is not None and when.where else {})}
    return found


@functools.cache
def declared() -> dict[str, Honours]:
    """What each engine that writes honours."""
    found: dict[str, Honours] = {}
    for name in plugins.names("engines"):
        found |= plugins.load("engines", name).declared()
    return {name: honours for name, honours in found.items() if honours}
