"""Texts that a model goes on with as they are, without the form that its task gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.tasks.base import Reader
    from tunesmith.writing.generating import GeneratingTask


def prompts(tokenizer: Any, texts: Sequence[str | Sequence[int]]) -> list[list[int]]:
    """Texts as tokens, with whatever special ones the model expects; what is tokens already stays so."""
    return [tokenizer(text, verbose=False)["input_ids"] if isinstance(text, str) else list(text) for text in texts]


def go_on(task: GeneratingTask, reader: Reader, texts: Sequence[str | Sequence[int]], request: Any) -> list[list[Any]]:
    """What comes after each text: its choices (``generation.Generated``).

    Raises:
        UsageError: one of them cannot be gone on with as the request asks.
    """
    tokens, engine = prompts(reader.tokenizer, texts), reader.engine
    return engine.generate(tokens, task.asked_of(reader, tokens, request), reader.tokenizer)
