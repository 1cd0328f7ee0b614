"""Find out what request parameters do to a saved model's answers on your rows, and which setting to take.

Any request parameter may hold several values: a,b,c, or START:STOP:STEP, or LOW:HIGH:log5; with --design random, sobol or race
also LOW:HIGH. All settings answer the same rows with the same seeds. Rows that took no part in choosing say whether the best
setting is at least as good as the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.params import param
from tunesmith.sweeping.settings import Settings

MORE = "request"


class Arguments(Settings):
    """Which model, which rows, how to sweep; request parameters are flags too (``--temperature 0:1.4:0.2``)."""

    bundle: str = param(..., "Folder of the saved model.", positional=True)
    data: str = param(..., "Labelled rows; their columns are found as in training.", positional=True)
    as_json: bool = param(False, "Print what was found as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Sweep and print what was found."""
    from tunesmith.params import check
    from tunesmith.sweeping import run

    own = {field.alias or name: getattr(arguments, name) for name, field in Settings.model_fields.items()}
    run.sweep(arguments.bundle, arguments.data, check(Settings, own), flags, quiet=arguments.as_json).show(
        as_json=arguments.as_json
    )
