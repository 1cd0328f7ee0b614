"""Go on with a run that was stopped or killed; it ends as if it had never been."""

from __future__ import annotations

from tunesmith.params import Params, param


class Arguments(Params):
    """Which run."""

    run: str = param(..., "Folder of the run.", positional=True)
    json: bool = param(False, "Print the report as JSON.")


def main(arguments: Arguments) -> None:
    """Resume and print the report."""
    from pathlib import Path

    from tunesmith import report
    from tunesmith.train import run

    report.show(run.resume(Path(arguments.run)).report, as_json=arguments.json)
