"""Write a bundle's model in another form, such as ONNX, and check that it gives the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from tunesmith.exported import Record

MORE = "export"


class Arguments(Params):
    """Which bundle, which form, and where it goes; the form's own options are flags too (``--precision int8``)."""

    bundle: str = param(..., "Folder of the bundle.", positional=True)
    to: str = param(..., "The form.", plugin="exports")
    out: str | None = param(
        None, "Folder for a new bundle of this form alone; none: into the bundle, beside its weights."
    )
    data: str | None = param(
        None, "Labelled rows that decide whether a smaller form is as good; none: the run's own validation rows."
    )


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Export and say what came of it."""
    from tunesmith import exporting, params, plugins

    options = params.read_texts(plugins.module("exports", arguments.to).Params, flags)
    record = exporting.export(arguments.bundle, arguments.to, arguments.out, data=arguments.data, options=options)
    print(record)
    if record.scores:
        print(_compared(record))


def _compared(record: Record) -> str:
    """The scores that decided between the form as it is and a smaller one."""
    scores = ", ".join(f"{precision} {score:.4f}" for precision, score in record.scores.items())
    smaller = list(record.scores)[-1]
    loses = "" if record.precision == smaller else f"{smaller} loses too much: "
    return f"{record.metric} on {record.rows}: {scores}; {loses}{record.precision} is kept"
