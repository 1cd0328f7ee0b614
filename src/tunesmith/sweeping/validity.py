"""Whether an answer is of a format: by the format's own rules, whoever wrote the answer and under whatever constraint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.errors import UsageError
from tunesmith.generation import request as requests
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params
from tunesmith.sweeping.design import Design
from tunesmith.sweeping.settings import Settings

Form = Mapping[str, Any]


def forms(design: Design, settings: Settings) -> dict[int, Form]:
    """The format that each run's answers are judged by; none is judged unless all are.

    It is that of ``--valid-against``. Otherwise all are judged by the one format that any setting asks for, also where
    others ask for none, so that these tell how often free answers are of it; or, where settings ask for several, each by
    its own.

    Raises:
        UsageError: the format is none, or the task writes nothing.
    """
    if settings.valid_against is not None:
        given = _checked(settings.valid_against, design.settings[0].request)
        return {run.number: given for run in design.runs}
    own = {run.number: form for run in design.runs if (form := _asked(run.request))}
    different = list({json.dumps(form, sort_keys=True): form for form in own.values()}.values())
    if len(different) == 1:
        return {run.number: different[0] for run in design.runs}
    return own if len(own) == len(design.runs) else {}


def is_untold(design: Design, settings: Settings) -> bool:
    """Whether settings ask for formats, and yet nothing says by which all are to be judged."""
    return any(_asked(run.request) for run in design.runs) and not forms(design, settings)


def judge(form: Form) -> Callable[[str], bool]:
    """Says of a text whether it is of a format, but for space around it.

    Args:
        form: as ``response_format`` takes it.

    Raises:
        UsageError: what reads such formats is not installed, or the format cannot be read.

    >>> judge({"type": "choice", "choice": ["yes", "no"]})("no"), judge({"type": "json_object"})('{"a": 1}')
    (True, True)
    """
    kind = form["type"]
    if kind == "choice":
        return set(form["choice"]).__contains__
    if kind == "json_object":
        return lambda text: isinstance(_value(text), dict)
    if kind == "json_schema" and (fits := _by_schema(form["json_schema"])):
        return fits
    from tunesmith.generation import grammar

    return grammar.matcher(dict(form))


def _asked(request: Params) -> Form | None:
    form: Form | None = getattr(request, "response_format", None)
    return None if form is None or form["type"] == "text" else form


def _checked(form: Form, request: Params) -> Form:
    if not isinstance(request, GenerationRequest):
        raise UsageError("only texts that are written have a format", where="--valid-against", hint="leave it out")
    try:
        requests.check(GenerationRequest(response_format=dict(form)))
    except UsageError as error:
        raise UsageError("is no format", where="--valid-against", problems=error.problems) from None
    if form["type"] == "text":
        raise UsageError("every text is of the type text", where="--valid-against", hint="leave it out")
    judge(form)("")
    return form


_NOTHING = object()


def _value(text: str) -> Any:
    """What JSON says; a number that JSON does not have is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return _NOTHING


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _by_schema(content: Any) -> Callable[[str], bool] | None:
    """By the package jsonschema; None: it is not there."""
    try:
        import jsonschema  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return None
    schema = content.get("schema", content) if isinstance(content, dict) else content
    checker = jsonschema.validators.validator_for(schema)
    try:
        checker.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise UsageError(f"is no JSON schema: {error.message}", where="response_format") from None
    reader = checker(schema)
    return lambda text: (value := _value(text)) is not _NOTHING and bool(reader.is_valid(value))
