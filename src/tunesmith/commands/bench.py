"""Measure how fast each engine answers with a bundle on this machine; the fastest is taken from then on."""

from __future__ import annotations

from tunesmith.params import Params, Seconds, param


class Arguments(Params):
    """Which bundle, and what it answers."""

    bundle: str = param(..., "Folder of the bundle.", positional=True)
    data: str | None = param(None, "File of inputs; none: a few validation rows that the bundle keeps.")
    engine: str | None = param(
        None, "Measure only this one, and keep nothing; none: all that can open the bundle.", plugin="engines"
    )
    seconds: Seconds = param(2.0, "Time for each size of call.")
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments) -> None:
    """Measure and print."""
    import json

    from tunesmith import speed

    found = speed.race(arguments.bundle, arguments.data, engine=arguments.engine, seconds=arguments.seconds)
    print(json.dumps(found.to_json(), ensure_ascii=False) if arguments.as_json else found)
