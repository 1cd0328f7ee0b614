"""Serve saved models over HTTP: OpenAI's protocol, and an address of its own for each task."""

from __future__ import annotations

from collections.abc import MutableMapping

from tunesmith.params import param
from tunesmith.serving.options import Options

_LOOK_OUT = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "1000"}
_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}


class Arguments(Options):
    """Which models; how the server listens, what it lets in, how it batches."""

    bundles: tuple[str, ...] = param(
        ...,
        "Folders of saved models; NAME=FOLDER@ENGINE gives one another name, and an engine of its own.",
        positional=True,
    )


def main(arguments: Arguments) -> None:
    """Serve until told to stop."""
    import os

    from tunesmith.errors import UsageError
    from tunesmith.serving import wanted

    bundles = wanted.read(arguments.bundles)
    _set_waiting(os.environ, len(bundles))
    try:
        from tunesmith.serving import server
    except ModuleNotFoundError as error:
        raise UsageError(f"serving needs {error.name}", hint="pip install 'tunesmith[serve]'") from None
    server.run(bundles, arguments)


def _set_waiting(environment: MutableMapping[str, str], models: int) -> None:
    """How PyTorch's threads wait for the next operation, unless the operator says.

    Where there is one model they look out for it for some microseconds, since a step of generation takes twice as long if they
    sleep in between. Where there are several they sleep at once, and leave their cores to the other models.
    """
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}.isdisjoint(environment):
        environment.update(_LOOK_OUT if models == 1 else _SLEEP)
