"""Find label errors, ambiguous rows, repeated texts and rows that fail, and write a table of corrections to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tunesmith.params import Params, param

MORE = "config"


class Arguments(Params):
    """What to look at, by which models, and where the findings go."""

    source: str | None = param(None, "Folder of a finished run, labelled data, or a YAML config.", positional=True)
    by: Literal["folds", "features"] | None = param(
        None,
        "Models that judge rows they did not see: the folds of a run, or heads on the base model's features; none: folds where the run has some.",
    )
    near: float | None = param(
        0.95, "Cosine from which two texts count as nearly the same; none: only equal texts do.", gt=0, le=1
    )
    accept: bool = param(
        False,
        "Fill in what becomes of label errors: where another label leads by more than 0.1, a row gets it if that is likelier than all others together, and is dropped if not.",
    )
    out: str | None = param(None, "Folder of the findings; none: RUN/doctor, or runs/doctor-<data>.")
    as_json: bool = param(False, "Print the findings as JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Look at the rows, write the findings and print the chief ones."""
    import json

    from tunesmith import config

    # Loading torch takes seconds: mistakes in the call are told before.
    if flags:
        config.from_call(arguments.source, flags=flags)
    from tunesmith.diagnosis import doctor

    found, folder = doctor.call(
        arguments.source,
        by=arguments.by,
        near=arguments.near,
        accept=arguments.accept,
        out=arguments.out,
        flags=flags,
    )
    if arguments.as_json:
        print(json.dumps({"folder": str(folder), **found.to_json()}, ensure_ascii=False))
        return
    print(found)
    print(
        f"To correct: {folder / 'corrections.csv'}, then: tunesmith train ... --data.corrections {folder / 'corrections.csv'}"
    )
