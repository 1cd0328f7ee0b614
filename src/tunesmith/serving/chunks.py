"""Streams in OpenAI's form: letters as they come, then how each choice ended, and last what is told of the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.serving import wire, written
from tunesmith.serving.asked import Answered, Delta
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Checked

if TYPE_CHECKING:
    from tunesmith.generation.answers import TokenLogprob

Entry = dict[str, Any]
"""What an event says of one choice."""


class Form(ABC):
    """How a route writes news of a choice; it may hold letters back."""

    @abstractmethod
    def news(self, choice: int, text: str, logprobs: Sequence[TokenLogprob]) -> list[Entry]:
        """New letters."""

    @abstractmethod
    def end(self, choice: int, reason: str) -> list[Entry]:
        """It ended; with what was held back."""

    @property
    def warnings(self) -> list[str]:
        """What is to be told beside."""
        return []


@dataclass
class _Sent:
    """Of a choice: letters and log-probabilities that were told."""

    letters: int = 0
    logprobs: int = 0


async def told(
    call: Call,
    asked: Checked,
    news: AsyncIterator[Delta | Answered],
    form: Form,
    head: Mapping[str, Any],
    *,
    include_usage: bool,
) -> AsyncIterator[dict[str, Any]]:
    """Events, from what a worker tells.

    Args:
        call: who asked.
        asked: what.
        news: see ``asking.stream``.
        form: the route's.
        head: what each event begins with.
        include_usage: whether a last event tells of tokens.
    """
    sent: dict[int, _Sent] = {}
    no_usage: dict[str, Any] = {"usage": None} if include_usage else {}
    async for one in news:
        if isinstance(one, Delta):
            own = sent.setdefault(one.choice, _Sent())
            own.letters, own.logprobs = own.letters + len(one.text), own.logprobs + len(one.logprobs)
            for entry in form.news(one.choice, one.text, one.logprobs):
                yield {**head, "choices": [entry], **no_usage}
            continue
        texts = written.read(one, asked.request)
        entries = list(_rest(texts, sent, form))
        about = with_warnings(wire.about(call, asked, texts), form.warnings)
        for number, entry in enumerate(entries, 1):
            last = about if number == len(entries) and not include_usage else {}
            yield {**head, "choices": [entry], **no_usage, **last}
        if include_usage:
            yield {**head, "choices": [], **about, "usage": written.usage(one)}


def with_warnings(about: dict[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """What is told of an answer, with more warnings."""
    every = list(dict.fromkeys([*about.get("warnings", ()), *warnings]))
    return {**about, "warnings": every} if every else about


def _rest(texts: written.Texts, sent: Mapping[int, _Sent], form: Form) -> Iterator[Entry]:
    """Of each choice what was not told yet, and its end."""
    for number, choice in enumerate(texts.choices):
        own = sent.get(number, _Sent())
        text, logprobs = choice.text[own.letters :], choice.logprobs[own.logprobs :]
        if text or logprobs or number not in sent:
            yield from form.news(number, text, logprobs)
        yield from form.end(number, choice.reason)
