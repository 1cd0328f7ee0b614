"""Ask a server from the shell: texts, or a whole file row by row; any request parameter is a flag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, TextIO

from tunesmith.params import Params, Seconds, param

if TYPE_CHECKING:
    from tunesmith.asked_over_http import Client

MORE = "request"


class Arguments(Params):
    """Which server and model, which texts; request parameters are flags too (``--temperature 0.2``)."""

    url: str = param(..., "Address of the server, such as http://127.0.0.1:8000.", positional=True)
    texts: tuple[str, ...] = param(
        (), "Texts to ask; an input of several columns, or a conversation, is written as JSON.", positional=True
    )
    route: Literal["predict", "chat", "completions", "embeddings"] = param(
        "predict", "How it is asked: in the task's own form, or by OpenAI's protocol."
    )
    model: str | None = param(None, "Which model; none: the only one that is served.")
    key_variable: str = param(
        "TUNESMITH_KEY", "Environment variable that holds the API key; unset: none is sent.", name="key-variable"
    )
    stream: bool = param(False, "Print a text while it is written, by chat and completions.")
    input: str | None = param(None, "File of rows to ask instead, in any format that training reads.")
    output: str | None = param(None, "JSONL file for the answers; each line keeps the columns of its row.")
    as_json: bool = param(False, "Print each answer whole, as the server gives it.", name="json")
    timeout: Seconds = param(600.0, "How long one answer may take.")
    ca: str | None = param(None, "Certificate (PEM) to trust beside the system's, for HTTPS.")


def main(arguments: Arguments, flags: Mapping[str, str]) -> int:
    """Ask and print, or write; the exit code tells what went wrong (1: the server, 2: the request)."""
    import sys

    from tunesmith import asked_over_http
    from tunesmith.errors import UsageError

    if bool(arguments.texts) == bool(arguments.input) or (arguments.output and not arguments.input):
        hint = 'tunesmith request http://127.0.0.1:8000 "fine film"'
        raise UsageError("give texts, or --input FILE with --output FILE", hint=hint)
    if arguments.stream and (arguments.route not in ("chat", "completions") or arguments.input or arguments.as_json):
        raise UsageError("only texts of chat and completions are shown as they come", where="--stream")
    client = asked_over_http.Client.of(
        arguments.url, arguments.key_variable, timeout_s=arguments.timeout, certificate=arguments.ca
    )
    request = asked_over_http.values(flags)
    if arguments.input:
        return _ask_file(client, arguments, request)
    for text in arguments.texts:
        path, body = asked_over_http.form(arguments.route, _model(client, arguments), _input(text), request)
        if arguments.stream:
            for piece in client.events(path, body):
                sys.stdout.write(asked_over_http.letters(piece))
                sys.stdout.flush()
            print(flush=True)
        else:
            reply = client.post(path, body)
            print(_shown(reply if arguments.as_json else asked_over_http.answer(arguments.route, reply)), flush=True)
    return 0


def _model(client: Client, arguments: Arguments) -> str:
    return arguments.model or client.only_model()


def _input(text: str) -> Any:
    """A word of the call: JSON where it is an object or a list, or a text."""
    import json

    try:
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else text
    except ValueError:
        return text


def _shown(answer: Any) -> str:
    import json

    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _ask_file(client: Client, arguments: Arguments, request: Mapping[str, Any]) -> int:
    """A line for each row: the row and its answer, or why there is none. What the server refuses keeps no other row from its."""
    import json
    import sys

    from tunesmith import asked_over_http
    from tunesmith.errors import EngineError, TunesmithError

    model, worst, count = _model(client, arguments), 0, 0
    with _output(arguments.output) as file:
        for row in _rows(arguments.input or ""):
            try:
                path, body = asked_over_http.form(arguments.route, model, row, request)
                found = {"prediction": asked_over_http.answer(arguments.route, client.post(path, body))}
            except asked_over_http.Unreachable:
                raise
            except TunesmithError as error:
                found = {"error": str(error)}
                worst = 1 if isinstance(error, EngineError) else worst or 2
            file.write(json.dumps({**row, **found}, ensure_ascii=False, default=str) + "\n")
            file.flush()
            count += 1
    print(f"{count} rows asked", file=sys.stderr)
    return worst


def _rows(file: str) -> Iterator[dict[str, Any]]:
    from tunesmith.data.labelled import read_inputs

    return read_inputs(file, (), added=("prediction", "error"))


def _output(file: str | None) -> AbstractContextManager[TextIO]:
    import sys
    from contextlib import nullcontext
    from pathlib import Path

    from tunesmith.errors import UsageError

    if file is None:
        return nullcontext(sys.stdout)
    try:
        return Path(file).open("x", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the output cannot be written: {error.strerror}", where=file) from None
