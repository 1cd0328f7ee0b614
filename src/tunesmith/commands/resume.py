"""Go on with a run that was stopped or killed; it ends as if it had never been."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which run."""

    run: str = param(..., "Folder of the run.", positional=True)
    as_json: bool = param(False, "Print the report as JSON.", name="json")


def main(arguments: Arguments) -> None:
    """Resume and print the report."""
    from pathlib import Path

    from tunesmith.train import run

    run.resume(Path(arguments.run)).show(as_json=arguments.as_json)
