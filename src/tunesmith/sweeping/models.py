"""The saved model that is swept: what it does where nothing is asked, and what its engine refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import bundle as bundles
from tunesmith import engine_choice, params, plugins, predict
from tunesmith.errors import UsageError
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


def load(bundle: Path, engine: str | None) -> Model:
    """The model; by PyTorch where that can open it, whose draws repeat."""
    if engine is None and "pytorch" in engine_choice.openable(bundle):
        engine = "pytorch"
    if engine is not None and not engine.startswith("http") and engine not in plugins.names("engines"):
        hint = f"legal: {', '.join(plugins.names('engines'))}, or the address of a server"
        raise UsageError(f"no engine '{engine}'", where="--engine", hint=hint)
    return predict.load(bundle, engine)


def refusal_of(model: Model, request: Params) -> str | None:
    """Why an engine cannot answer a request; None: it can."""
    if not isinstance(request, GenerationRequest):
        return None
    found = list(refused(model.engine.honours, Case(request, model.engine.facts)))
    return "; ".join(f"the engine refuses {name}: {why}" for name, why in found) or None
