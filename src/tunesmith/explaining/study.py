"""A parameter on a model: which of the ways to look at it fits, and what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.explaining import opening, values
from tunesmith.explaining.declared import DECIDED, Decided
from tunesmith.explaining.found import Found
from tunesmith.params import Leaf
from tunesmith.predict import Model

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.explaining.paths import Kind


@dataclass(frozen=True)
class Wanted:
    """What is to be looked at.

    Args:
        name: of the parameter.
        model: a bundle's folder, or a base model that writes.
        prompts: inputs, as users type them.
        data: labelled file to take inputs from instead.
        rows: most rows of it.
        path: which answers of a model that writes are gone along.
        tokens: most tokens of each.
        values: of the parameter, or text as ``values.asked`` reads it; None: those declared.
        held: other request parameters, as values or as the command line has them.
        keep: folder that keeps logits between calls.
    """

    name: str
    model: str
    prompts: tuple[str, ...] = ()
    data: str | None = None
    rows: int = 20
    path: Kind = "greedy"
    tokens: int = 64
    values: str | Sequence[Any] | None = None
    held: Mapping[str, Any] | None = None
    keep: str | None = None


def explain(wanted: Wanted, model: Model | None = None) -> Found:
    """Look at a parameter on a model.

    Args:
        wanted: what is to be looked at.
        model: as ``opening.open_model`` opened it, where several parameters are looked at; None: it is opened.

    Raises:
        TunesmithError: the parameter, the model or the inputs are not what they should be.
    """
    if wanted.path == "reference" and wanted.data is None:
        raise UsageError("needs a file with answers", where="--path reference", hint="give --data FILE")
    model = model or opening.open_model(wanted.model)
    leaf = _leaf(model, wanted.name)
    held = _held(model, wanted)
    with tempfile.TemporaryDirectory(prefix="tunesmith-explain-") as folder:
        rows = opening.rows_of(model, wanted.prompts, wanted.data, wanted.rows, Path(folder))
        if not model.task.writes:
            from tunesmith.explaining import rereading

            tried = _values(model, wanted, leaf) if wanted.values is not None else rereading.values_of(model, leaf)
            return rereading.look(model, wanted.model, leaf, tried, held, rows, labelled=wanted.data is not None)
        return _written(model, wanted, leaf, held, rows)


def _written(model: Model, wanted: Wanted, leaf: Leaf, held: dict[str, Any], rows: pa.Table) -> Found:
    from tunesmith.explaining import curves, nbest, paths, telling
    from tunesmith.generation.admit import Admission

    tried = tuple(_values(model, wanted, leaf))
    if leaf.path in nbest.SHOWN:
        return nbest.look(model, wanted.model, leaf.path, tried, held, rows, wanted.tokens)
    _check_curved(leaf.path, held)
    found = paths.of(model, rows, wanted.path, wanted.tokens)
    engine: Any = model.engine
    asking = curves.Asking(leaf.path, tried, held, Admission(engine.facts, model.tokenizer, 1), model.tokenizer)
    logits = paths.Logits(model, Path(wanted.keep) if wanted.keep else None)
    return telling.found(curves.trace(asking, found, logits), wanted.model, model.bundle.config.task_name, wanted.path)


def _leaf(model: Model, name: str) -> Leaf:
    known = {leaf.path: leaf for leaf in params.leaves(type(model.request()))}
    if not model.task.writes:
        known |= DECIDED
    if name not in known:
        task = model.bundle.config.task_name
        hint = did_you_mean(name, list(known)) or f"known: {', '.join(known)}"
        raise UsageError(f"{task} has no request parameter '{name}'", where="PARAMETER", hint=hint)
    return known[name]


def _held(model: Model, wanted: Wanted) -> dict[str, Any]:
    """The other parameters, checked: those of the call, and the defaults that the bundle was given."""
    texts = {name: text for name, text in (wanted.held or {}).items() if isinstance(text, str)}
    given = {**(wanted.held or {}), **params.read_texts(type(model.request()), texts)}
    if wanted.name in given:
        raise UsageError("is what is looked at", where=f"--{wanted.name}", hint="write --values instead")
    own = type(model.request())
    usual = {name: getattr(model.request(), name) for name in params.set_apart(model.request())}
    if model.task.writes:
        from tunesmith.explaining import curves

        usual = {name: value for name, value in usual.items() if name in curves.OFF}
    origins = {name: f"--{name}" for name in given}
    checked = params.check(own, {**usual, **given}, origins)
    return {name: getattr(checked, name) for name in {**usual, **given} if name != wanted.name}


def _values(model: Model, wanted: Wanted, leaf: Leaf) -> list[Any]:
    """The values, each checked as a request's would be; without any given, those of the declared range."""
    asked = values.asked(wanted.values, leaf) if isinstance(wanted.values, str) else list(wanted.values or ())
    tried = asked or values.declared(leaf) or _usual(leaf)
    own = Decided if leaf.path in DECIDED else type(model.request())
    return list(
        dict.fromkeys(getattr(params.check(own, {leaf.path: v}, {leaf.path: "--values"}), leaf.path) for v in tried)
    )


def _usual(leaf: Leaf) -> list[Any]:
    """Values of parameters that have no declared range and yet can be looked at."""
    known: dict[str, list[Any]] = {
        "min_tokens": [0, 4, 8, 16, 32],
        "xtc_threshold": [0.02, 0.05, 0.1, 0.2, 0.3, 0.5],
        "dry_base": [1.0, 1.25, 1.5, 1.75, 2.0, 3.0],
        "dry_allowed_length": [1, 2, 3, 4, 6],
        "seed": [0, 1, 2, 3],
    }
    return known.get(leaf.path, [leaf.default])


def _check_curved(name: str, held: Mapping[str, Any]) -> None:
    """Refuse what changes no distribution of tokens, or stands beside the parameter and has no curve.

    Raises:
        UsageError: naming what can be looked at.
    """
    from tunesmith.explaining import curves, nbest

    if name not in curves.OFF:
        hint = f"these can be looked at: {', '.join([*curves.OFF, *nbest.SHOWN])}"
        raise UsageError("it does not change which token comes next by a number", where=name, hint=hint)
    for other in ("num_beams", "response_format"):
        if held.get(other) not in (None, 1):
            raise UsageError("there are no exact curves beside it", where=f"--{other}", hint="leave it out")
