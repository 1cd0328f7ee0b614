"""OpenAI's completions: a text is gone on with, or, by a model of another task that writes, becomes what that task makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tunesmith.errors import ContextError, Problem, UsageError
from tunesmith.params import param
from tunesmith.serving import asking, checking, chunks, replies, spelling, wire, written
from tunesmith.serving.asked import Prompts
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Checked
from tunesmith.serving.chunks import Entry
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.models import Served
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.spelling import Spelling
from tunesmith.serving.wire import Writing

if TYPE_CHECKING:
    from tunesmith.generation.answers import TokenLogprob


class Body(Writing):
    """Texts to go on with. The model's request parameters stand beside them."""

    prompt: str | list[Any] = param(..., "A text, or its tokens, or a list of these.")
    logprobs: bool | int | None = param(
        None, "Give the log-probability of each token, and of so many likeliest ones at its place.", ge=0, le=20
    )


async def complete(call: Call) -> Response:
    """Go on with texts."""
    wire.stream_options(call)
    body, rest = checking.own(call, Body)
    call.served = served = call.serving.find(body.model)
    if not served.model.task.writes:
        message = f"the model '{served.name}' does not write: its task is {served.task}"
        raise Refusal(message, "unsupported_model", param="model", hint=f"ask /v1/predict/{served.name}")
    checked = wire.checked(call, served, body, {**rest, **_logprobs(body, rest)})
    prompts = _prompts(body.prompt)
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    checked = checking.limits(call, texts, len(prompts), checked)
    call.inputs = prompts
    asked: dict[str, Any] = {"priority": body.priority, "time_s": body.time}
    served = call.served
    if served.task == "chat":
        asked["prompts"] = await _raw(call, prompts, checked)
    else:
        asked["rows"] = _rows(served, prompts)
    try:
        if body.stream:
            return await _stream(call, body, checked, asked)
        return await _whole(call, checked, asked)
    except ContextError as error:
        raise wire.named(error, "prompt") from None


async def _whole(call: Call, checked: Checked, asked: dict[str, Any]) -> Response:
    answered = await asking.answer(call, checked.request, **asked)
    texts, form = written.read(answered, checked.request), _form(call, checked)
    choices = [
        {**form.entry(number, choice.text, choice.logprobs), "finish_reason": choice.reason}
        for number, choice in enumerate(texts.choices)
    ]
    call.answers = tuple({"text": choice.text} for choice in texts.choices)
    head, about = wire.head(call, "text_completion", "cmpl"), wire.about(call, checked, texts)
    return replies.answer({**head, "choices": choices, "usage": written.usage(answered), **about})


async def _stream(call: Call, body: Body, checked: Checked, asked: dict[str, Any]) -> Response:
    news = await asking.stream(call, checked.request, **asked)
    head, usage = wire.head(call, "text_completion", "cmpl"), body.stream_options.include_usage
    return replies.events(chunks.told(call, checked, news, _form(call, checked), head, include_usage=usage), call)


class _Form(chunks.Form):
    """Events of completions: letters."""

    def __init__(self, spelt: Spelling, *, logprobs: bool, top: int) -> None:
        self._spelt, self._logprobs, self._top = spelt, logprobs, top
        self._offsets: dict[int, int] = {}

    def news(self, choice: int, text: str, logprobs: Sequence[TokenLogprob]) -> list[Entry]:
        return [self.entry(choice, text, logprobs)] if text or logprobs else []

    def end(self, choice: int, reason: str) -> list[Entry]:
        return [{**self.entry(choice, "", ()), "finish_reason": reason}]

    def entry(self, choice: int, text: str, logprobs: Sequence[TokenLogprob]) -> Entry:
        """What is said of a choice; its tokens stand where those before them end."""
        told = None
        if self._logprobs and logprobs:
            offset = self._offsets.get(choice, 0)
            told = self._spelt.completion(logprobs, self._top, offset)
            self._offsets[choice] = offset + sum(map(len, told["tokens"]))
        return {"index": choice, "text": text, "logprobs": told, "finish_reason": None}


def _form(call: Call, checked: Checked) -> _Form:
    assert call.served is not None
    asked = checked.request
    return _Form(spelling.of(call.served), logprobs=asked.logprobs, top=asked.top_logprobs)


def _logprobs(body: Body, rest: dict[str, Any]) -> dict[str, Any]:
    """The number of likeliest tokens, which ``logprobs`` is here, in the model's own terms."""
    if body.logprobs is None:
        return {}
    if isinstance(body.logprobs, bool):
        return {"logprobs": body.logprobs}
    if rest.get("top_logprobs", body.logprobs) != body.logprobs:
        problem = Problem(f"{body.logprobs}, and top_logprobs is {rest['top_logprobs']!r}", "logprobs", "give one")
        raise UsageError("parameters that do not go together", problems=[problem])
    return {"logprobs": True, "top_logprobs": body.logprobs}


def _prompts(given: Any) -> Prompts:
    """Each prompt: a text, or token ids.

    Raises:
        Refusal: something else stands there.
    """
    several = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not several:
        raise Refusal("there is no prompt", "invalid_value", param="prompt")
    for number, prompt in enumerate(several):
        where = "prompt" if several[0] is given else f"prompt[{number}]"
        if not isinstance(prompt, str) and not _is_tokens(prompt):
            raise Refusal("is neither a text nor a list of token ids", "invalid_value", param=where)
        if not prompt:
            raise Refusal("is empty", "invalid_value", param=where)
    wire.encodable([one for one in several if isinstance(one, str)], "prompt")
    return tuple(one if isinstance(one, str) else tuple(one) for one in several)


def _is_tokens(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(type(one) is int for one in given)


async def _raw(call: Call, prompts: Prompts, checked: Checked) -> Prompts:
    """Prompts that a model can go on with.

    Raises:
        Refusal: one has tokens that there are not, or is too long.
    """
    assert call.served is not None
    size = call.served.model.engine.facts.size
    for prompt in prompts:
        if isinstance(prompt, str):
            await wire.check_length(call, [prompt], "prompt", checked.request)
        elif wrong := [token for token in prompt if not 0 <= token < size]:
            hint = f"legal: 0 to {size - 1}"
            raise Refusal(f"there is no token {wrong[0]}", "invalid_value", param="prompt", hint=hint)
    return prompts


def _rows(served: Served, prompts: Prompts) -> Any:
    """Texts as the task reads them.

    Raises:
        Refusal: one cannot be read.
    """
    if not all(isinstance(prompt, str) for prompt in prompts):
        message = f"the task {served.task} reads texts, not tokens"
        raise Refusal(message, "invalid_value", param="prompt")
    try:
        return served.model.rows([prompt for prompt in prompts if isinstance(prompt, str)])
    except UsageError as error:
        raise wire.named(error, "prompt") from None


def _takes() -> dict[str, Any]:
    return wire.takes(Body)


def _gives() -> dict[str, Any]:
    return wire.gives("text_completion", {"index", "text", "logprobs", "finish_reason"})


ENDPOINTS = (
    Endpoint(
        "/v1/completions",
        complete,
        "What comes after texts, or what a translating or summarizing model makes of them, in OpenAI's form.",
        takes=_takes,
        gives=_gives,
        example={"model": "{model}", "prompt": "a fine film", "max_tokens": 8},
        tasks=("chat", "summarization", "translation"),
    ),
)
