"""The Modelfile that Ollama reads: the weights, how a conversation is written, where answers end, what is asked for by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.errors import DataError
from tunesmith.generation.honours import DEFAULTS
from tunesmith.text import dialogue

_PARAMETERS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "max_tokens": "num_predict",
}
_SYSTEM, _USER, _ANSWER, _AGAIN = "<<1>>", "<<2>>", "<<3>>", "<<4>>"


def text(file: str, task: Any, tokenizer: Any, ends: frozenset[int], request: Mapping[str, Any]) -> str:
    """A Modelfile.

    Args:
        file: the weights, beside it.
        task: the task that writes; one that asks for another text puts its instruction around each question.
        tokenizer: of transformers, with a chat template.
        ends: tokens at which answers end.
        request: request parameters that are not as usual.
    """
    lines = [f"FROM ./{file}"]
    template = _template(task, tokenizer)
    if template is None:
        lines.append("# The chat template cannot be said in the terms of TEMPLATE; the file holds it as it is.")
    else:
        lines.append(f'TEMPLATE """{template}"""')
    lines += [f'PARAMETER stop "{tokenizer.decode([token])}"' for token in sorted(ends)]
    asked = {name: request.get(name, DEFAULTS[name]) for name in _PARAMETERS}
    lines += [f"PARAMETER {_PARAMETERS[name]} {value}" for name, value in asked.items() if value is not None]
    return "\n".join(lines) + "\n"


def _template(task: Any, tokenizer: Any) -> str | None:
    """What stands before the first message and after each, by its role; None where that does not tell the template."""
    question = getattr(task, "question", str)
    messages = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": question(_USER)},
        {"role": "assistant", "content": _ANSWER},
        {"role": "user", "content": question(_AGAIN)},
    ]
    try:
        whole = dialogue.render(tokenizer, messages, prompt=True)
        first = dialogue.render(tokenizer, messages[1:2], prompt=True)
    except DataError:
        return None
    if any(whole.count(mark) != 1 for mark in (_SYSTEM, _USER, _ANSWER, _AGAIN)) or first.count(_USER) != 1:
        return None
    opening, rest = whole.split(_SYSTEM)
    to_user, rest = rest.split(_USER)
    to_answer, rest = rest.split(_ANSWER)
    to_next, last = rest.split(_AGAIN)
    alone, after = first.split(_USER)
    parts = (opening, to_user, to_answer, to_next, alone)
    if last != to_answer or after != to_answer or any("{{" in part or '"""' in part for part in parts):
        return None
    return (
        f"{{{{ if .System }}}}{opening}{{{{ .System }}}}{to_user}{{{{ else }}}}{alone}{{{{ end }}}}"
        f'{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{{{{ .Content }}}}{to_answer}'
        f'{{{{ else if eq .Role "assistant" }}}}{{{{ .Content }}}}{to_next}{{{{ end }}}}{{{{ end }}}}'
    )
