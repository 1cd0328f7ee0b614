"""Fine-tune a model on labelled data, or repeat a run from its config.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import Params, param

MORE = "config"


class Arguments(Params):
    """What to train from."""

    source: str | None = param(None, "Labelled data, or a YAML config.", positional=True)
    as_json: bool = param(False, "Print the report as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Train and print the report."""
    from tunesmith import config

    asked = config.from_call(arguments.source, flags=flags)
    # Loading torch takes seconds: mistakes in the call are told before.
    from tunesmith.train import run

    run.train(asked).show(as_json=arguments.as_json)
