"""Something that is asked of a model, and what is told of it while it is answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.serving.gaps import Gaps

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.errors import TunesmithError
    from tunesmith.generation.answers import Generated, TokenLogprob
    from tunesmith.params import Params


@dataclass(frozen=True)
class Delta:
    """New letters of one choice, numbered through all inputs (the input's number times n, and the choice's), with what is known of their tokens."""

    choice: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Answered:
    """All answers.

    Args:
        answers: of each input, as the task tells it.
        generated: of each input the texts that were written for its windows, each with its choices; none by tasks that
            do not write.
        prompt_tokens: how many tokens were read.
        tokens: how many were written.
        cached_tokens: how many of those that were read were known.
    """

    answers: list[dict[str, Any]]
    generated: Sequence[Sequence[Sequence[Generated]]] = ()
    prompt_tokens: int = 0
    tokens: int = 0
    cached_tokens: int = 0


Prompts = tuple[str | tuple[int, ...], ...]
News = "Delta | Answered | TunesmithError"


@dataclass
class Times:
    """When what happened, on the monotonic clock; None: not yet.

    Args:
        asked, started, first, last, ended: of the request; ``first`` and ``last`` of what was written.
        gaps: between tokens, counted text by text.
        marks: when each text went on last.
    """

    asked: float = field(default_factory=time.monotonic)
    started: float | None = None
    first: float | None = None
    last: float | None = None
    ended: float | None = None
    gaps: Gaps = field(default_factory=Gaps)
    marks: dict[Any, float] = field(default_factory=dict)


@dataclass(eq=False)
class Asked:
    """What is asked of a model.

    Args:
        model: its name within the worker that is asked.
        request: checked request parameters.
        rows: canonical rows to be answered; or None, and then
        prompts: texts, or their tokens, that are gone on with as they are, without the task's own form.
        tell: is told news, in the worker's thread: it must neither wait nor raise.
        key: whose it is; keys take turns.
        priority: lower ones come first.
        size: about how many tokens it takes.
        stream: whether letters are told as they come.
        ends_at: when it ends as it stands, on the monotonic clock.
        own_time: whether the caller said so, and not the server.
    """

    model: str
    request: Params
    tell: Callable[[Any], None]
    rows: pa.Table | None = None
    prompts: Prompts = ()
    key: str = ""
    priority: int = 0
    size: int = 1
    stream: bool = False
    ends_at: float = float("inf")
    own_time: bool = False
    times: Times = field(default_factory=Times)
    cancelled: bool = False
    told: bool = False
    tries: int = 0

    @property
    def inputs(self) -> int:
        """How many inputs it has."""
        return len(self.prompts) if self.rows is None else len(self.rows)

    def start(self) -> None:
        """Note that a worker has begun."""
        self.times.started = time.monotonic()

    def mark(self, text: object = None) -> None:
        """Note that a token of one of its texts is written (of all its choices, which go on together)."""
        times, now = self.times, time.monotonic()
        times.last, times.first = now, times.first or now
        before = times.marks.get(text)
        if before is not None:
            times.gaps.add(now - before)
        times.marks[text] = now

    def news(self, delta: Delta) -> None:
        """Tell letters."""
        self.told = True
        self.tell(delta)

    def end(self, outcome: Answered | TunesmithError) -> None:
        """Tell how it ended; what is answered whole is written in that moment."""
        times = self.times
        times.ended = time.monotonic()
        times.first, times.last = times.first or times.ended, times.last or times.ended
        times.marks.clear()
        self.tell(outcome)
