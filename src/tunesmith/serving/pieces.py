"""Large requests are read in pieces, so that small ones beside them need not wait for the whole.

Each turn of a worker reads so many tokens: first of what has waited longest, so that it comes to its end whatever
arrives, up to half of the turn; then of the small ones, in their order, and then of what has least left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.serving.asked import Answered, Asked, Times

_ROUNDING = 1e-6
_SMALL = 1 / 4


@dataclass(eq=False)
class Whole:
    """A request that is being read.

    Args:
        asked: the request.
        place: its inputs before this one are read, or are part of this turn.
        found: what was answered so far.
    """

    asked: Asked
    place: int = 0
    found: list[Answered] = field(default_factory=list)

    @property
    def each(self) -> float:
        """About how many tokens one of its inputs has."""
        return self.asked.size / self.asked.inputs

    @property
    def left(self) -> float:
        """About how many tokens are left to read."""
        return self.each * (self.asked.inputs - self.place)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.asked.cancelled or self.asked.times.ended is not None

    def next(self, tokens: float) -> Asked | None:
        """Its next inputs, of no more than so many tokens, as a request of their own; None: not one fits."""
        asked, first = self.asked, self.place
        self.place = min(asked.inputs, first + max(0, int(tokens / self.each + _ROUNDING)))
        if self.place == first:
            return None
        if self.place - first == asked.inputs:
            return asked
        rows = None if asked.rows is None else asked.rows.slice(first, self.place - first)
        prompts = asked.prompts[first : self.place]
        return replace(asked, rows=rows, prompts=prompts, times=Times(), stream=False, tell=self._hear)

    def _hear(self, outcome: Any) -> None:
        """The answers of a piece, or why there are none."""
        if not isinstance(outcome, Answered):
            self.asked.end(outcome)
            return
        self.found.append(outcome)
        if self.place == self.asked.inputs:
            self.asked.end(_joined(self.found))


def small(turn: float) -> float:
    """Up to how many tokens a request is small, beside turns of so many."""
    return turn * _SMALL


def turn(wholes: Sequence[Whole], tokens: float) -> list[Asked]:
    """What is read next.

    Args:
        wholes: what is being read, oldest first.
        tokens: about how many tokens may be read; at least one input is.
    """
    going = [whole for whole in wholes if not whole.is_over]
    if not going:
        return []
    oldest = going[0]
    found = [oldest.next(max(oldest.each, min(oldest.left, tokens / 2)))]
    left = tokens - (oldest.each * (found[0].inputs if found[0] is not None else 0))
    for whole in sorted(going[1:], key=lambda one: max(one.left, small(tokens))):
        found.append(whole.next(min(left, whole.left)))
        left -= whole.each * (found[-1].inputs if found[-1] is not None else 0)
    return [piece for piece in found if piece is not None]


def _joined(found: Sequence[Answered]) -> Answered:
    return Answered(
        [answer for one in found for answer in one.answers],
        [windows for one in found for windows in one.generated],
        sum(one.prompt_tokens for one in found),
        sum(one.tokens for one in found),
        sum(one.cached_tokens for one in found),
    )
