"""Search for better training parameters: any config parameter may hold a range instead of a value.

A range is low:high or low:high:log, choices are a,b,c; in YAML {low: .., high: .., log: true} or a list; the word search
takes the declared range. Without any, all declared ranges are searched. The first trial has the defaults. At the end they
and the winner are trained anew with several seeds, to say whether the gain is more than the noise of seeds.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import param
from tunesmith.search.settings import Settings

MORE = "config"


class Arguments(Settings):
    """What to search, and how."""

    source: str | None = param(
        None, "Labelled data, a YAML config, or with --resume the folder of a study.", positional=True
    )
    as_json: bool = param(False, "Print what was found as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Search and print what was found."""
    from tunesmith import config
    from tunesmith.params import check
    from tunesmith.search import space

    settings = check(Settings, {name: getattr(arguments, name) for name in Settings.model_fields})
    if not settings.resume:  # mistakes in the call are told before torch is loaded, which takes seconds
        space.read(config.merge_call(arguments.source, flags=flags))
    from tunesmith.search import run

    run.search(arguments.source, settings, flags=flags).show(as_json=arguments.as_json)
