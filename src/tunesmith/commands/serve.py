"""Serve saved models over HTTP: OpenAI's protocol, and an address of its own for each task."""

from __future__ import annotations

from tunesmith.params import param
from tunesmith.serving.options import Options


class Arguments(Options):
    """Which models; how the server listens, what it lets in, how it batches."""

    bundles: tuple[str, ...] = param(
        ...,
        "Folders of saved models; NAME=FOLDER@ENGINE gives one another name, and an engine of its own.",
        positional=True,
    )


def main(arguments: Arguments) -> None:
    """Serve until told to stop."""
    from tunesmith.errors import UsageError
    from tunesmith.serving import wanted

    bundles = wanted.read(arguments.bundles)
    try:
        from tunesmith.serving import server
    except ModuleNotFoundError as error:
        raise UsageError(f"serving needs {error.name}", hint="pip install 'tunesmith[serve]'") from None
    server.run(bundles, arguments)
