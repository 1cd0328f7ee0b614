"""Study what training parameters do: every combination of some values with several seeds, effects with intervals.

Values are a,b,c, or low:high:5 and low:high:log5 for five values from one end to the other. Rows are read and tokenised once.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import param
from tunesmith.studying.settings import Settings

MORE = "config"


class Arguments(Settings):
    """What to study, and how."""

    source: str | None = param(
        None, "Labelled data, a YAML config, or with --resume the folder of a study.", positional=True
    )
    as_json: bool = param(False, "Print what was found as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Study and print what was found."""
    from tunesmith import config
    from tunesmith.params import check

    settings = check(Settings, {name: getattr(arguments, name) for name in Settings.model_fields})
    from tunesmith.studying import run

    if not settings.resume:  # mistakes in the call are told before anything is read
        run.read(config.merge_call(arguments.source, flags=flags), settings)
    run.study(arguments.source, settings, flags=flags).show(as_json=arguments.as_json)
