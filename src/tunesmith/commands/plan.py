"""Say before a training what it takes: tokens, steps, time, memory, disk, cost, and which GPU it fits."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import Params, param

MORE = "config"


class Arguments(Params):
    """What would be trained, and where."""

    source: str | None = param(None, "Labelled data, or a YAML config.", positional=True)
    gpu: str | None = param(
        None, "A GPU that need not be there, by name (T4, L4, A100-80, H100, 'RTX 4090' ...) or memory (24GB)."
    )
    price: float | None = param(None, "Price of an hour, for the cost on this machine and on the GPU.", ge=0)
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Measure and print."""
    import json

    from tunesmith import config
    from tunesmith.planning import gpus

    asked = config.from_call(arguments.source, flags=flags)
    if arguments.gpu:
        gpus.find(arguments.gpu)
    # Loading torch takes seconds: mistakes in the call are told before.
    from tunesmith.planning import forecast, terminal

    plan = forecast.plan(asked, arguments.gpu, arguments.price)
    print(json.dumps(plan.to_json(), ensure_ascii=False)) if arguments.as_json else terminal.show(plan)
