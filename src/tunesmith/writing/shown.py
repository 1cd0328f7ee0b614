"""What a caller sees of written answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.writing.generating import Written

_WORST_FIRST = ("error", "cancelled", "length", "stop")


def answer(written: Written, name: str, request: Any) -> dict[str, Any]:
    """The best text with everything that is known of it; where several were asked for, the others in ``alternatives``.

    Args:
        written: what was written.
        name: what the text is called.
        request: what was asked for; None: unknown.
    """
    count = len(written.parts[0])
    shown, *others = [_choice(written, number, name) for number in range(count)]
    shown["seed"], shown["engine"] = written.parts[0][0].terms.seed, written.parts[0][0].terms.engine
    if count > 1:
        shown["alternatives"] = others
    if warnings := list(dict.fromkeys(_warnings(written, request))):
        shown["warnings"] = warnings
    return shown


def _choice(written: Written, number: int, name: str) -> dict[str, Any]:
    """One text; where windows of a long row were written for, the worst of their ends is its end."""
    parts = [choices[number] for choices in written.parts]
    reasons = [part.finish_reason for part in parts]
    shown: dict[str, Any] = {
        name: written.choice(number),
        "finish_reason": min(reasons, key=_WORST_FIRST.index),
        "tokens": sum(part.token_count for part in parts),
    }
    if isinstance(parts[-1].stopped_by, str):
        shown["stopped_by"] = parts[-1].stopped_by
    if len(parts) == 1 and parts[0].score is not None:
        shown["score"] = parts[0].score
    if errors := [part.error for part in parts if part.error]:
        shown["error"] = errors[0]
    if any(part.logprobs for part in parts):
        shown["logprobs"] = [asdict(one) for part in parts for one in part.logprobs]
    return shown


def _warnings(written: Written, request: Any) -> Iterator[str]:
    every: Sequence[Any] = [one for choices in written.parts for one in choices]
    for one in every:
        yield from one.terms.warnings
        most = None if request is None else request.max_tokens
        if most is not None and one.terms.limit < most and one.finish_reason == "length":
            yield f"cut after {one.terms.limit} of max_tokens {most} tokens, as the context holds no more"
