"""Answer texts from the command line, or a whole file row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from tunesmith.predict import Model

MORE = "request"
_ANSWER, _REASON = "prediction", "error"


class Arguments(Params):
    """Which model, which inputs; the task's request parameters are flags too (``--threshold 0.6``)."""

    bundle: str = param(..., "Folder of the saved model.", positional=True)
    texts: tuple[str, ...] = param(
        (), "Texts to answer; an input of several columns, or a conversation, is written as JSON.", positional=True
    )
    input: str | None = param(None, "File of rows to answer instead, in any format that training reads.")
    output: str | None = param(
        None, "JSONL file for the answers; each line keeps the columns of its row. An unfinished one is continued."
    )
    chunk: int = param(512, "Rows answered and written at a time.", ge=1)
    engine: str | None = param(None, "What computes the answers; none: the fastest that can.", plugin="engines")
    stream: bool = param(
        False, "Show a text while it is written, on the error output; the whole answer is printed after it."
    )
    engine_url: str | None = param(
        None,
        "Address of a server that answers instead, by OpenAI's protocol (vLLM): http://HOST:8000/v1.",
        name="engine-url",
    )


def main(arguments: Arguments, flags: Mapping[str, str]) -> None:
    """Answer and print, or write."""
    import json

    from tunesmith import params, predict
    from tunesmith.errors import UsageError

    if bool(arguments.texts) == bool(arguments.input) or (arguments.output and not arguments.input):
        raise UsageError("give texts, or --input FILE with --output FILE", hint='tunesmith predict runs/x "fine film"')
    if arguments.engine_url and arguments.engine:
        raise UsageError("give an engine or the address of one", where="--engine-url", hint="leave --engine out")
    model = predict.load(arguments.bundle, arguments.engine_url or arguments.engine)
    request = params.read_texts(type(model.request()), flags)
    if arguments.stream and arguments.input:
        raise UsageError(
            "rows of a file are not shown while they are written", where="--stream", hint="leave out --input"
        )
    if arguments.stream:
        for text in arguments.texts:
            print(json.dumps(_live(model, predict.typed(text, model.task.inputs), request), ensure_ascii=False))
    elif arguments.texts:
        for answer in model.answers([predict.typed(text, model.task.inputs) for text in arguments.texts], **request):
            print(json.dumps(answer, ensure_ascii=False))
    else:
        _answer_file(model, arguments, request)


def _live(model: Model, given: str | dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one input, whose first text is shown as it comes."""
    import sys

    answer: dict[str, Any] = {}
    for news in model.stream(given, **request):
        if isinstance(news, dict):
            answer = news
        elif news.choice == 0:
            print(news.text, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr, flush=True)
    return answer


def _answer_file(model: Model, arguments: Arguments, request: dict[str, Any]) -> None:
    """Stream rows through the model; whole lines of an earlier, unfinished output are kept and not answered again."""
    import itertools
    import sys

    from tunesmith.data.labelled import read_inputs

    names, any_will_do = model.columns, model.task.any_input_will_do
    rows = read_inputs(arguments.input or "", names.values(), added=(_ANSWER, _REASON), any_will_do=any_will_do)
    done, output = _continued(arguments.output)
    total = done
    with output as file:
        rows = itertools.islice(rows, done, None)
        while chunk := list(itertools.islice(rows, arguments.chunk)):
            file.writelines(_answered(model, names, chunk, request))
            file.flush()
            total += len(chunk)
            print(f"{total} rows answered", file=sys.stderr)
    if done:
        print(f"the first {done} were there already", file=sys.stderr)


def _continued(output: str | None) -> tuple[int, AbstractContextManager[TextIO]]:
    """How many rows an output holds already, and where the others go: after them, or to the terminal."""
    import sys
    from pathlib import Path

    from tunesmith.appending import whole_lines
    from tunesmith.errors import UsageError

    if output is None:
        return 0, nullcontext(sys.stdout)
    try:
        return whole_lines(Path(output)), Path(output).open("a", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the output cannot be written: {error.strerror}", where=output) from None


def _answered(
    model: Model, names: Mapping[str, str], rows: list[dict[str, Any]], request: dict[str, Any]
) -> Iterator[str]:
    """Each row with its prediction, or with the reason why there is none."""
    import json

    from tunesmith.tasks.base import RowError

    answers: list[dict[str, Any]] = []
    inputs = [{role: row.get(name) for role, name in names.items()} for row in rows]
    for given in inputs:
        try:
            model.task.read_input(given)
            answers.append({})
        except RowError as error:
            answers.append({_REASON: f"{error.column} {error}"})
    readable = [index for index, answer in enumerate(answers) if not answer]
    for index, answer in zip(
        readable, _all_answers(model, [inputs[index] for index in readable], request), strict=True
    ):
        answers[index] = answer
    return (
        json.dumps({**row, **answer}, ensure_ascii=False, default=str) + "\n"
        for row, answer in zip(rows, answers, strict=True)
    )


def _all_answers(model: Model, inputs: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Each input with its prediction; one that is too long for the model does not keep the others from theirs."""
    from tunesmith.errors import ContextError

    try:
        return [{_ANSWER: answer} for answer in model.answers(inputs, **request)]
    except ContextError as error:
        long = {str(problem.where): problem.message for problem in error.problems}
        if not long:
            raise
    short = [given for number, given in enumerate(inputs) if f"input {number}" not in long]
    rest = iter(_all_answers(model, short, request))
    reasons = (long.get(f"input {number}") for number in range(len(inputs)))
    return [next(rest) if reason is None else {_REASON: reason} for reason in reasons]
