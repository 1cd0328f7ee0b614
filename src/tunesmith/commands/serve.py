"""Serve saved models over HTTP: OpenAI's protocol, and an address of its own for each task."""

from __future__ import annotations

from tunesmith.params import param
from tunesmith.serving.options import Options


class Arguments(Options):
    """Which models; how the server listens, what it lets in, how it batches."""

    bundles: tuple[str, ...] = param(
        ..., "Folders of saved models; NAME=FOLDER gives one another name.", positional=True
    )


def main(arguments: Arguments) -> None:
    """Serve until told to stop."""
    import os
    from pathlib import Path

    from tunesmith.errors import UsageError

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of PyTorch that wait leave their cores to requests
    folders: dict[str, str] = {}
    for given in arguments.bundles:
        name, found, folder = given.partition("=")
        folder, name = (folder, name) if found else (given, Path(given).resolve().name)
        if name in folders:
            hint = "give one another name: NAME=FOLDER"
            raise UsageError(f"two bundles are called '{name}'", where=given, hint=hint)
        folders[name] = folder
    try:
        from tunesmith.serving import server
    except ModuleNotFoundError as error:
        raise UsageError(f"serving needs {error.name}", hint="pip install 'tunesmith[serve]'") from None
    server.run(folders, arguments)
