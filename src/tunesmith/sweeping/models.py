"""The saved model that is swept: what it does where nothing is asked, and what its engine refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import bundle as bundles
from tunesmith import engine_choice, params, plugins, predict
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.generation.honours import Case, refused
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params

if TYPE_CHECKING:
    from tunesmith.predict import Model


def request_of(bundle: str | Path) -> tuple[bundles.Bundle, Params]:
    """A bundle, and what it does where nothing is asked."""
    opened = bundles.open_bundle(bundle)
    group = plugins.module("tasks", opened.config.task_name).Request
    return opened, params.check(group, dict(opened.config.request))


def check(engines: Sequence[str]) -> None:
    """Refuse engines that nobody knows.

    Raises:
        UsageError: names the first.
    """
    known = plugins.names("engines")
    for engine in engines:
        if not engine.startswith(("http://", "https://")) and engine not in known:
            hint = did_you_mean(engine, known) or f"legal: {', '.join(known)}, or the address of a server"
            raise UsageError(f"no engine '{engine}'", where="--engine", hint=hint)


def load(bundle: Path, engine: str | None) -> Model:
    """The model; where no engine is named by PyTorch if that can open it, since its draws repeat.

    Raises:
        UsageError: no such engine.
    """
    if engine is None and "pytorch" in engine_choice.openable(bundle):
        engine = "pytorch"
    check([engine] if engine else [])
    return predict.load(bundle, engine)


def refusal_of(model: Model, request: Params) -> str | None:
    """Why an engine cannot answer a request; None: it can."""
    if not isinstance(request, GenerationRequest):
        return None
    found = list(refused(model.engine.honours, Case(request, model.engine.facts)))
    return "; ".join(f"the engine refuses {name}: {why}" for name, why in found) or None
