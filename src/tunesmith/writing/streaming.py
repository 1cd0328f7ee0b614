"""Texts as they are written, piece by piece, in a way that the pieces add up to the answer."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Piece:
    """New letters of one of the answers that were asked for, numbered from 0."""

    choice: int
    text: str


@dataclass
class Trimmed:
    """Text without the space around it, as it comes: space is held back until something follows it."""

    begun: bool = False
    held: str = field(default="", repr=False)

    def push(self, text: str) -> str:
        """Letters that are certain to be within.

        >>> trimmed = Trimmed()
        >>> [trimmed.push(piece) for piece in (" ", " a ", "b", "\\n")]
        ['', 'a', ' b', '']
        """
        text = self.held + text if self.begun else text.lstrip()
        kept = text.rstrip()
        self.begun = self.begun or bool(kept)
        self.held = text[len(kept) :] if self.begun else ""
        return kept


def pieces(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], requests: Sequence[Any], engine: str
) -> Generator[Piece, None, list[list[Any]]]:
    """Write for the windows of a text, one after the other.

    Args:
        model: as for ``decode.Scheduler``.
        tokenizer: likewise.
        prompts: of each window.
        requests: of each window.
        engine: what runs the model.

    Returns:
        The answers of each window, when all pieces are told. Leaving early ends the work.
    """
    from tunesmith.generation import decode

    scheduler = decode.Scheduler(model, tokenizer, max_rows=max(request.rows for request in requests), engine=engine)
    answers = []
    for number, (prompt, request) in enumerate(zip(prompts, requests, strict=True)):
        job = scheduler.submit(prompt, request)
        trimmed: dict[int, Trimmed] = {}
        for news in decode.stream(scheduler, job):
            own = trimmed.get(news.choice) or Trimmed()
            echoed = job.opening_text if news.choice not in trimmed else ""
            trimmed[news.choice] = own
            between = "\n" if number and not own.begun else ""
            if text := own.push(echoed + news.text):
                yield Piece(news.choice, between + text)
        answers.append(job.results)
    return answers
