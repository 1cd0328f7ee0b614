"""Say what a request parameter is, and with a model what it does to its answers: numbers, a picture, a conclusion.

Without a name it lists all of them. With a bundle (or a base model that writes, such as SmolLM2-135M-Instruct) and inputs,
every value of the range is tried on the same answers, place by place, with nothing drawn; other parameters are flags.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tunesmith.params import Params, param

MORE = "request"


class Arguments(Params):
    """What to explain, and on what."""

    parameter: str | None = param(None, "Name of a request parameter; none: all are listed.", positional=True)
    bundle: str | None = param(
        None, "Folder of a saved model, or a base model that writes; none: what is declared is told.", positional=True
    )
    prompt: tuple[str, ...] = param(
        (),
        "An input; may be given several times. One of several columns is written as JSON. None: a few validation rows that the bundle keeps.",
        repeated=True,
    )
    data: str | None = param(None, "Labelled data to take inputs from instead; answers are scored by its labels.")
    rows: int = param(20, "Most rows of it.", ge=1)
    path: Literal["greedy", "reference"] = param(
        "greedy", "Of a model that writes: go along its likeliest answer, or along the one in the data."
    )
    tokens: int = param(64, "Of a model that writes: most tokens of each answer.", ge=1)
    values: str | None = param(
        None, "Values to try: 0,0.5,1 or 0:1.5:0.1 in steps or 1:100:log7; none: the range that is declared."
    )
    keep: str | None = param(
        None, "Folder that keeps the logits for further calls: 4 bytes * tokens * vocabulary for each answer."
    )
    picture: str | None = param(None, "SVG or PNG file for a picture.")
    as_json: bool = param(False, "Print JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Tell what is declared, or what was found."""
    from tunesmith.errors import UsageError
    from tunesmith.explaining import declared

    if arguments.picture and not arguments.picture.lower().endswith((".svg", ".png")):
        raise UsageError("names no picture", where="--picture", hint="legal: a file that ends in .svg or .png")
    if arguments.bundle is None:
        _refuse_more(arguments, flags)
        _tell(arguments)
        return
    assert arguments.parameter is not None
    declared.find(arguments.parameter)  # mistakes in the call are told before torch is loaded, which takes seconds
    _look(arguments, flags)


def _tell(arguments: Arguments) -> None:
    import json

    from tunesmith.explaining import declared, printed

    if arguments.parameter is None:
        groups = declared.groups()
        plain = {tasks: {one.name: one.leaf.help for one in group} for tasks, group in groups.items()}
        print(json.dumps(plain, ensure_ascii=False)) if arguments.as_json else printed.groups(groups)
        return
    sheets = [declared.sheet(one) for one in declared.find(arguments.parameter)]
    if arguments.as_json:
        print(json.dumps([one.to_json() for one in sheets], ensure_ascii=False))
    else:
        printed.sheets(sheets)


def _look(arguments: Arguments, flags: Mapping[str, str]) -> None:
    import json
    from pathlib import Path

    from tunesmith.explaining import pictures, printed, study

    wanted = study.Wanted(
        str(arguments.parameter),
        str(arguments.bundle),
        arguments.prompt,
        arguments.data,
        arguments.rows,
        arguments.path,
        arguments.tokens,
        arguments.values,
        flags,
        arguments.keep,
    )
    found = study.explain(wanted)
    if arguments.picture:
        pictures.save(found, Path(arguments.picture))
    print(json.dumps(found.to_json(), ensure_ascii=False)) if arguments.as_json else printed.found(found)


def _refuse_more(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Refuse what only counts with a model."""
    from tunesmith import params
    from tunesmith.errors import Problem, UsageError

    alone = {"parameter", "as_json"}
    given = [*(params.set_apart(arguments) - alone), *flags]
    if given:
        problems = [Problem("counts only with a model", f"--{name}") for name in sorted(given)]
        hint = "tunesmith explain top_p runs/chat --prompt 'Do you ship to islands?'"
        raise UsageError("a model is missing", hint=hint, problems=problems)
