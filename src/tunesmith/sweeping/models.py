"""The saved model that is swept: what it does where nothing is asked, and what its engine refuses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import bundle as bundles
from tunesmith import engine_choice, params, plugins, predict
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.generation.honours import DEFAULTS, Case, refused
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params
from tunesmith.sweeping import addresses, asking
from tunesmith.sweeping.settings import Settings

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
    for number, engine in enumerate(engines):
        if engine in engines[:number]:
            raise UsageError(f"'{engine}' is named twice", where="--engines")
        if addresses.is_address(engine):
            addresses.read(engine)
        elif engine not in known:
            hint = did_you_mean(engine, known) or f"legal: {', '.join(known)}, or the address of a server"
            raise UsageError(f"no engine '{engine}'", where="--engine", hint=hint)


def load(opened: bundles.Bundle, settings: Settings, given: Collection[str]) -> Model:
    """The model by the engine named; by PyTorch where none is and that can open it, since its draws repeat.

    Args:
        opened: the bundle.
        settings: whose ``engine`` may be an address; what is asked of another program there is carried over to it.
        given: names of the parameters that the study asks for.

    Raises:
        UsageError: no such engine.
    """
    engine = settings.engine
    if engine is not None and addresses.is_address(engine):
        return behind(opened, server(engine, settings), is_carried=True, given=given)
    return here(opened.folder, engine)


def here(bundle: Path, engine: str | None) -> Model:
    """The model by an engine of this machine.

    Raises:
        UsageError: no such engine.
    """
    if engine is None and "pytorch" in engine_choice.openable(bundle):
        engine = "pytorch"
    check([engine] if engine else [])
    return predict.load(bundle, engine)


def server(engine: str, settings: Settings) -> addresses.Server:
    """The server at an address.

    Raises:
        UsageError: it cannot be asked.
    """
    return addresses.find(engine, key_variable=settings.key_variable, timeout_s=settings.timeout)


def behind(opened: bundles.Bundle, server: addresses.Server, *, is_carried: bool, given: Collection[str]) -> Model:
    """A bundle whose answers come from a server.

    Args:
        opened: the bundle, of which the weights are not needed.
        server: that answers.
        is_carried: whether parameters are carried over into the program's terms; false: the same numbers.
        given: names of the parameters that the study asks for.

    Raises:
        UsageError: the server does another task, or has no answers for this one.
    """
    task, theirs = opened.config.task_name, server.about.get("task")
    if server.program == "tunesmith" and theirs != task:
        raise UsageError(f"the server's model does {theirs}, the bundle {task}", where=server.name)
    if server.program != "tunesmith" and not opened.task.writes:
        raise UsageError(f"only a server of Tunesmith answers for {task}", where=server.name)
    named = {name for name, value in dict(opened.config.request).items() if value != DEFAULTS.get(name)}
    engine = asking.Engine(server, is_carried=is_carried, given={*given, *named})
    return predict.Model(opened, engine, opened.tokenizer())


def refusal_of(model: Model, request: Params) -> str | None:
    """Why an engine cannot answer a request; None: it can."""
    if isinstance(model.engine, asking.Engine):
        return model.engine.refusal(request)
    if not isinstance(request, GenerationRequest):
        return None
    found = list(refused(model.engine.honours, Case(request, model.engine.facts)))
    return "; ".join(f"the engine refuses {name}: {why}" for name, why in found) or None
