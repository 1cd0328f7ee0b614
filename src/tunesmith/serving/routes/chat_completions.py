"""OpenAI's chat completions: conversations are answered, whole or as a stream, with calls of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from tunesmith.errors import ContextError, UsageError
from tunesmith.params import param
from tunesmith.serving import asking, checking, chunks, messages, replies, spelling, tools, wire, written
from tunesmith.serving.call import Call
from tunesmith.serving.calls import Calls, ToolCall
from tunesmith.serving.checking import Checked
from tunesmith.serving.chunks import Entry
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.messages import Plain
from tunesmith.serving.models import Served
from tunesmith.serving.refusal import Refusal
from tunesmith.serving.spelling import Spelling
from tunesmith.serving.tools import Tools
from tunesmith.serving.wire import Writing

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.generation.answers import TokenLogprob


class Body(Writing):
    """A conversation. The model's request parameters stand beside it."""

    messages: list[Any] = param(
        ..., "Messages of the conversation, each with role and content; the last one is answered."
    )
    tools: list[Any] | None = param(None, "Functions that the model may call.")
    tool_choice: str | dict[str, Any] | None = param(
        None, "none, auto, required, or the function to call; none given: auto where there are tools."
    )
    parallel_tool_calls: bool | None = param(None, "Whether several calls may come at once; none given: they may.")


async def chat(call: Call) -> Response:
    """Answer a conversation."""
    wire.stream_options(call)
    body, rest = checking.own(call, Body)
    call.served = call.serving.find(body.model)
    _check_task(call.served)
    given = messages.plain(body.messages, body.on_unsupported)
    asked_tools = tools.read(body.tools, body.tool_choice, body.parallel_tool_calls)
    if asked_tools.told:
        given.messages = asked_tools.system(given.messages, call.served.model.task.options.system)
    checked = _checked(call, body, rest, given, asked_tools)
    texts = [message["content"] for message in given.messages]
    checked = checking.limits(call, texts, 1, checked)
    await wire.check_length(
        call, [one["content"] for one in given.messages if one["role"] != "assistant"], "messages", checked.request
    )
    call.inputs = ({"messages": given.messages},)
    asked: dict[str, Any] = {"rows": _rows(call.served, given), "priority": body.priority, "time_s": body.time}
    try:
        if body.stream:
            return await _stream(call, body, checked, asked_tools, asked)
        return await _whole(call, checked, asked_tools, asked)
    except ContextError as error:
        raise wire.named(error, "messages") from None
    except UsageError as error:
        if asked_tools.told and error.headline.where == "response_format":
            raise wire.named(error, "tools") from None
        raise


async def _whole(call: Call, checked: Checked, asked_tools: Tools, asked: dict[str, Any]) -> Response:
    assert call.served is not None
    answered = await asking.answer(call, checked.request, **asked)
    texts, spelt, warnings = written.read(answered, checked.request), spelling.of(call.served), list[str]()
    choices = []
    for number, choice in enumerate(texts.choices):
        found = Calls(asked_tools.functions) if asked_tools.told else None
        parts = [choice.text] if found is None else [*found.push(choice.text), *found.finish()]
        warnings += found.warnings if found is not None else []
        message, reason = _message(parts), choice.reason
        choices.append(
            {
                "index": number,
                "message": message,
                "logprobs": spelt.chat(choice.logprobs) if checked.request.logprobs else None,
                "finish_reason": "tool_calls" if "tool_calls" in message and reason == "stop" else reason,
            }
        )
    if asked_tools.told:
        call.answers = tuple(choice["message"] for choice in choices)
    about = chunks.with_warnings(wire.about(call, checked, texts), warnings)
    head = wire.head(call, "chat.completion", "chatcmpl")
    return replies.answer({**head, "choices": choices, "usage": written.usage(answered), **about})


async def _stream(call: Call, body: Body, checked: Checked, asked_tools: Tools, asked: dict[str, Any]) -> Response:
    assert call.served is not None
    form = _Form(spelling.of(call.served), asked_tools, logprobs=checked.request.logprobs)
    news = await asking.stream(call, checked.request, **asked)
    head = wire.head(call, "chat.completion.chunk", "chatcmpl")
    usage = body.stream_options.include_usage
    return replies.events(chunks.told(call, checked, news, form, head, include_usage=usage), call)


def _message(parts: Sequence[str | ToolCall]) -> dict[str, Any]:
    """The assistant's message: its text, and its calls if there are some."""
    text = "".join(part for part in parts if isinstance(part, str))
    calls = [part.told() for part in parts if isinstance(part, ToolCall)]
    if calls:
        return {"role": "assistant", "content": text or None, "refusal": None, "tool_calls": calls}
    return {"role": "assistant", "content": text, "refusal": None}


class _Form(chunks.Form):
    """Events of chat: a role first, then letters and calls."""

    def __init__(self, spelt: Spelling, asked_tools: Tools, *, logprobs: bool) -> None:
        self._spelt, self._tools, self._logprobs = spelt, asked_tools, logprobs
        self._calls: dict[int, Calls] = {}
        self._begun: dict[int, int] = {}

    def news(self, choice: int, text: str, logprobs: Sequence[TokenLogprob]) -> list[Entry]:
        entries = []
        if choice not in self._begun:
            self._begun[choice] = 0
            entries.append(self._entry(choice, {"role": "assistant", "content": "", "refusal": None}))
            if self._tools.told:
                self._calls[choice] = Calls(self._tools.functions)
        own = self._calls.get(choice)
        parts = own.push(text) if own is not None else [text] if text else []
        if logprobs and not any(isinstance(part, str) for part in parts):
            parts = ["", *parts]
        return [*entries, *self._parts(choice, parts, logprobs)]

    def end(self, choice: int, reason: str) -> list[Entry]:
        own = self._calls.get(choice)
        entries = self._parts(choice, own.finish() if own is not None else [], ())
        called = self._begun[choice] > 0 and reason == "stop"
        return [*entries, {**self._entry(choice, {}), "finish_reason": "tool_calls" if called else reason}]

    @property
    def warnings(self) -> list[str]:
        return [warning for own in self._calls.values() for warning in own.warnings]

    def _parts(self, choice: int, parts: Sequence[str | ToolCall], logprobs: Sequence[TokenLogprob]) -> list[Entry]:
        """Each part; log-probabilities stand beside the first text."""
        entries, left = [], logprobs
        for part in parts:
            if isinstance(part, str):
                entries.append(self._entry(choice, {"content": part}, left))
                left = ()
            else:
                number = self._begun[choice]
                self._begun[choice] += 1
                entries.append(self._entry(choice, {"tool_calls": [{"index": number, **part.told()}]}))
        return entries

    def _entry(self, choice: int, delta: dict[str, Any], logprobs: Sequence[TokenLogprob] = ()) -> Entry:
        told = self._spelt.chat(logprobs) if self._logprobs and logprobs else None
        return {"index": choice, "delta": delta, "logprobs": told, "finish_reason": None}


def _checked(call: Call, body: Body, rest: dict[str, Any], given: Plain, asked_tools: Tools) -> Checked:
    """The model's request parameters, with what holds the answer to calls."""
    assert call.served is not None
    found = wire.checked(call, call.served, body, rest)
    dropped = (*given.dropped, *found.dropped)
    if not asked_tools.told:
        return Checked(found.request, dropped)
    form = asked_tools.format(found.request.response_format)
    if form is None:
        return Checked(found.request, dropped)
    request = found.request.but(response_format=form)
    if checking.beyond_engine(call.served, request, ["response_format"]):
        if body.on_unsupported == "refuse":
            raise wire.unsupported({"tool_choice": f"the engine {call.served.engine} holds answers to no format"})
        return Checked(found.request, (*dropped, "tool_choice"))
    call.parameters = request.model_dump(mode="json", by_alias=True)
    return Checked(request, dropped)


def _check_task(served: Served) -> None:
    """Refuse models that do not chat, naming where they answer.

    Raises:
        Refusal: it does not.
    """
    if served.task == "chat":
        return
    others = f"/v1/predict/{served.name}"
    if served.model.task.writes:
        others = f"/v1/completions, the text as its prompt, or {others}"
    message = f"the model '{served.name}' does not chat: its task is {served.task}"
    raise Refusal(message, "unsupported_model", param="model", hint=f"ask {others}")


def _rows(served: Served, given: Plain) -> pa.Table:
    """The conversation as the task reads it.

    Raises:
        Refusal: it cannot be answered.
    """
    try:
        return served.model.rows([{"messages": given.messages}])
    except UsageError as error:
        raise wire.named(error, "messages") from None


def _takes() -> dict[str, Any]:
    """Messages and tools are read by ``messages`` and ``tools``, which tell what is wrong in OpenAI's words."""
    found = wire.takes(Body)
    fields = found["properties"]
    role, text = {"enum": list(messages.ROLES)}, {"type": ["string", "array", "null"]}
    message = {"type": "object", "properties": {"role": role, "content": text}, "required": ["role"]}
    function = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    tool = {"type": "object", "properties": {"type": {"const": "function"}, "function": function}}
    fields["messages"] = {**fields["messages"], "minItems": 1, "items": message}
    fields["tools"] = {
        **fields["tools"],
        "anyOf": [{"type": "array", "items": {**tool, "required": list(tool["properties"])}}, {"type": "null"}],
    }
    return found


def _gives() -> dict[str, Any]:
    return wire.gives("chat.completion", {"index", "message", "logprobs", "finish_reason"})


ENDPOINTS = (
    Endpoint(
        "/v1/chat/completions",
        chat,
        "Answers in a conversation, in OpenAI's form.",
        takes=_takes,
        gives=_gives,
        example={
            "model": "{model}",
            "messages": [{"role": "user", "content": "What is a fine film?"}],
            "max_tokens": 8,
        },
        tasks=("chat",),
    ),
)
