"""A submitted request and what has become of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tunesmith.generation.admit import Plan
from tunesmith.generation.answers import FinishReason, Generated, Piece, TokenLogprob
from tunesmith.generation.choosing import Beams, Choices
from tunesmith.generation.lora import Lora


@dataclass(eq=False)
class Job:
    """A submitted request and what has become of it.

    plan: as checked. lora: the update that its rows have. pieces: news not yet taken. answers: the finished answers by
    number. places: its rows' places in the batch. reused: how many of its prompt's tokens were not read anew.
    """

    plan: Plan
    choosing: Choices | Beams
    lora: Lora | None = None
    pieces: deque[Piece] = field(default_factory=deque)
    answers: dict[int, Generated] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    opening: tuple[TokenLogprob, ...] = ()
    opening_text: str = ""
    reused: int = 0
    closed: bool = False

    @property
    def rows(self) -> int:
        """How many rows of the batch it takes."""
        return self.plan.terms.request.rows

    @property
    def scores_prompt(self) -> bool:
        """Whether what the network says of each token of its prompt is asked for."""
        return self.plan.terms.request.echo and self.plan.terms.request.logprobs

    @property
    def done(self) -> bool:
        """Whether all its answers are finished."""
        return self.closed

    @property
    def results(self) -> list[Generated]:
        """Its finished answers."""
        return [self.answers[number] for number in sorted(self.answers)]

    def tell(self, pieces: Sequence[Piece]) -> None:
        """Keep news; an answer that echoes starts with the prompt."""
        for piece in pieces:
            if piece.answer is not None:
                if self.plan.terms.request.echo:
                    piece = replace(piece, answer=self._echoed(piece.answer))
                assert piece.answer is not None
                self.answers[piece.choice] = piece.answer
            self.pieces.append(piece)

    def close(self, reason: FinishReason, warning: str | None = None) -> None:
        """End it as it stands, and warn of that."""
        ended = self.choosing.end(reason)
        self.tell(ended if warning is None else [_warned(piece, warning) for piece in ended])
        self.closed = True

    def fail(self, why: str) -> None:
        """End it as it stands, since it cannot go on."""
        ended = self.choosing.end("error")
        self.tell([replace(one, answer=replace(one.answer, error=why)) for one in ended if one.answer is not None])
        self.closed = True

    def _echoed(self, answer: Generated) -> Generated:
        return replace(answer, text=self.opening_text + answer.text, logprobs=(*self.opening, *answer.logprobs))


def _warned(piece: Piece, warning: str) -> Piece:
    if piece.answer is None:
        return piece
    terms = replace(piece.answer.terms, warnings=(*piece.answer.terms.warnings, warning))
    return replace(piece, answer=replace(piece.answer, terms=terms))
