"""What was written for a request, as OpenAI's routes tell it: choices, what ended them, usage, seeds, warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.generation.answers import NOT_FINITE
from tunesmith.serving import refusal
from tunesmith.serving.asked import Answered
from tunesmith.writing import shown
from tunesmith.writing.generating import Written

if TYPE_CHECKING:
    from tunesmith.generation.answers import Generated, TokenLogprob


@dataclass(frozen=True)
class Choice:
    """A text.

    Args:
        text: as the task tells it.
        reason: ``stop`` or ``length``.
        logprobs: of its tokens, where they were asked for.
    """

    text: str
    reason: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Texts:
    """All choices of all inputs, and what is told beside them."""

    choices: list[Choice]
    about: dict[str, Any]


def read(answered: Answered, request: Any) -> Texts:
    """The choices of an answer.

    Raises:
        Refusal: one of them could not go on.
    """
    trimmed = bool(answered.answers)  # a raw continuation keeps the space around it
    choices = [
        _choice(tuple(windows), number, trimmed) for windows in answered.generated for number in range(len(windows[0]))
    ]
    return Texts(choices, dict(_about(answered, request)))


def usage(answered: Answered) -> dict[str, Any]:
    """How many tokens were read and written."""
    return {
        "prompt_tokens": answered.prompt_tokens,
        "completion_tokens": answered.tokens,
        "total_tokens": answered.prompt_tokens + answered.tokens,
        "prompt_tokens_details": {"cached_tokens": answered.cached_tokens},
    }


def _choice(windows: tuple[Any, ...], number: int, trimmed: bool) -> Choice:
    parts: list[Generated] = [choices[number] for choices in windows]
    for part in parts:
        if part.error == NOT_FINITE:
            raise refusal.failed(part.error)
        if part.finish_reason == "error":
            raise refusal.Refusal(f"the answer cannot go on: {part.error}", "invalid_value")
    whole = all(part.finish_reason == "stop" for part in parts)
    text = Written(windows).choice(number) if trimmed else parts[0].text
    return Choice(text, "stop" if whole else "length", tuple(one for part in parts for one in part.logprobs))


def _about(answered: Answered, request: Any) -> Iterator[tuple[str, Any]]:
    every = [one for windows in answered.generated for choices in windows for one in choices]
    seeds = [windows[0][0].terms.seed for windows in answered.generated]
    yield ("seed", seeds[0]) if len(set(seeds)) == 1 else ("seeds", seeds)
    if request.sampler_order is not None:
        yield "sampler_order", list(every[0].terms.sampler_order)
    warnings = [note for answer in _answers(answered, request) for note in answer.get("warnings", ())]
    late = sum(one.finish_reason == "cancelled" for one in every)
    if late:
        warnings.append(f"the time of the request ended {late} of {len(every)} texts before they were finished")
    if warnings:
        yield "warnings", list(dict.fromkeys(warnings))


def _answers(answered: Answered, request: Any) -> list[dict[str, Any]]:
    """Each input's answer as the task tells it, or as it would."""
    return answered.answers or [
        shown.answer(Written(tuple(map(tuple, own))), "text", request) for own in answered.generated
    ]
