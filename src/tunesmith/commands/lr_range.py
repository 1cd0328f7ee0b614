"""Try learning rates on a copy of the weights, a higher one each step, and suggest one."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import Params, param

MORE = "config"


class Arguments(Params):
    """What would be trained, and which rates are tried."""

    source: str | None = param(None, "Labelled data, or a YAML config.", positional=True)
    low: float = param(1e-6, "Learning rate of the first step.", gt=0)
    high: float = param(1e-1, "Learning rate of the last step.", gt=0)
    steps: int = param(100, "Steps from the one to the other.", ge=5)
    page: str | None = param(None, "HTML file for the curve.")
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Try and print."""
    import json
    from pathlib import Path

    from tunesmith import config

    asked = config.from_call(arguments.source, flags=flags)
    # Loading torch takes seconds: mistakes in the call are told before.
    from tunesmith import bundle
    from tunesmith.planning import rates, rates_page

    test = rates.range_test(asked, arguments.low, arguments.high, arguments.steps)
    if arguments.page:
        bundle.write_text(Path(arguments.page), rates_page.page(test, f"{asked.data.train} · {asked.task_name}"))
    print(json.dumps(test.to_json()) if arguments.as_json else rates_page.text(test))
