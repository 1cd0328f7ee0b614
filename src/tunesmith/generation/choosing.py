"""How the rows of one request go on from logits to tokens: answers of their own, or beams that share their fate.

Both take the logits of their rows and say which rows go on: (row, token) pairs, a row left out ends, a row named
twice is copied.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tunesmith.generation.admit import Plan
from tunesmith.generation.answers import NOT_FINITE, FinishReason, Generated, Piece, TokenLogprob
from tunesmith.generation.sampler import Row
from tunesmith.generation.text import TextStream

Continuation = tuple[int, int]
_NO_TOKEN = "the parameters leave no token that may come next"
# Score of beams that do not count: as low as transformers has it, so that both choose alike.
_HOPELESS = -1e9


class Choices:
    """Answers that know nothing of one another, each drawn with random numbers of its own."""

    def __init__(self, plan: Plan, tokenizer: Any) -> None:
        self._plan, self._request = plan, plan.terms.request
        self._open = [_Choice(plan, tokenizer, number) for number in range(self._request.rows)]
        self._ranked = self._request.rows > self._request.n
        self._ended: list[tuple[int, Generated]] = []

    @property
    def rows(self) -> list[Row]:
        """What the samplers need to know of each row."""
        return [choice.row for choice in self._open]

    def step(self, raw: Tensor, processed: Tensor, drawn: Sequence[int]) -> tuple[list[Continuation], list[Piece]]:
        """Take the drawn tokens.

        Args:
            raw: the model's logits (rows, V).
            processed: the samplers' logits (rows, V).
            drawn: a token a row.
        """
        source = raw if self._request.logprobs_of == "raw" else processed
        log_p = source.log_softmax(1) if self._request.logprobs or self._ranked else None
        errors = [_error(best) for best in processed.amax(1).tolist()]
        going, pieces = [], []
        for number, (choice, token) in enumerate(zip(self._open, drawn, strict=True)):
            if error := choice.error or errors[number]:
                piece = choice.end("error", error=error)
            else:
                piece = choice.take(token, None if log_p is None else log_p[number])
            pieces.append(piece)
            if piece.answer is None:
                going.append((number, token))
        self._open = [self._open[number] for number, _ in going]
        return going, self._told(pieces)

    def end(self, reason: FinishReason) -> list[Piece]:
        """End all answers as they stand."""
        pieces = [choice.end(reason) for choice in self._open]
        self._open = []
        return self._told(pieces)

    def _told(self, pieces: list[Piece]) -> list[Piece]:
        """All pieces; where answers compete, nothing until the last one has ended, then the best."""
        if not self._ranked:
            return pieces
        self._ended += [(piece.choice, piece.answer) for piece in pieces if piece.answer is not None]
        if self._open:
            return []
        best = sorted(self._ended, key=lambda entry: (-(entry[1].score or 0.0), entry[0]))[: self._request.n]
        return [Piece(rank, answer.text, answer=answer) for rank, (_, answer) in enumerate(best)]


class _Choice:
    """One answer in the making."""

    def __init__(self, plan: Plan, tokenizer: Any, number: int) -> None:
        self._plan, self._request = plan, plan.terms.request
        self._format = plan.format.copy() if plan.format else None
        self.row = Row(self._request, plan.prompt, [], plan.vocabulary, self._format, plan.terms.seed, number)
        self._text = TextStream(tokenizer, self._request.stop)
        self._logprobs: list[TokenLogprob] = []
        self._sum = 0.0

    def take(self, token: int, log_p: Tensor | None) -> Piece:
        self.row.output.append(token)
        told = None
        if log_p is not None:
            told = token_logprob(token, log_p, self._request.top_logprobs)
            self._sum += told.logprob or 0.0
            if self._request.logprobs:
                self._logprobs.append(told)
        if self._format is not None:
            self._format.take(token)
        ending = token in self.row.vocabulary.ends
        text = "" if ending else self._text.push(token)
        reason = self._reason(ending)
        piece = Piece(self.row.choice, text, token, told if self._request.logprobs else None)
        if reason is None:
            return piece
        last = self.end(reason, token if ending else None)
        return dataclasses.replace(piece, text=text + last.text, answer=last.answer)

    @property
    def error(self) -> str | None:
        """Why its format cannot go on, if it cannot."""
        return self._format.error if self._format is not None else None

    def end(self, reason: FinishReason, by: int | None = None, error: str | None = None) -> Piece:
        """The answer as it stands."""
        rest = self._text.finish()
        answer = Generated(
            self._text.text,
            tuple(self.row.output),
            reason,
            self._plan.terms,
            self._text.stop if self._text.stop is not None else by,
            tuple(self._logprobs),
            self._sum / max(1, len(self.row.output)) if self._request.rows > self._request.n else None,
            error,
        )
        return Piece(self.row.choice, rest, answer=answer)

    def _reason(self, ending: bool) -> FinishReason | None:
        if ending or self._text.stop is not None or (self._format is not None and self._format.ended):
            return "stop"
        return "length" if len(self.row.output) >= self._plan.terms.limit else None


class Beams:
    """Beam search: the rows are the likeliest beginnings; finished answers are ranked by score / length^penalty.

    The rules are those of transformers' ``generate``, so that both give the same answers.
    """

    def __init__(self, plan: Plan, tokenizer: Any) -> None:
        self._plan, self._request, self._tokenizer = plan, plan.terms.request, tokenizer
        self._width = self._request.num_beams
        self.rows = [
            Row(self._request, plan.prompt, [], plan.vocabulary, plan.format.copy() if plan.format else None)
            for _ in range(self._width)
        ]
        self._scores = torch.tensor([0.0] + [_HOPELESS] * (self._width - 1))
        self._finished: list[tuple[float, list[int]]] = []

    def step(self, raw: Tensor, processed: Tensor, drawn: Sequence[int]) -> tuple[list[Continuation], list[Piece]]:
        """Go on with the best continuations of all beams; ``processed`` are their log-probabilities (beams, V)."""
        found = self._candidates(processed)
        best = found[0][0]
        if not best > 2 * _HOPELESS:
            return [], self._stuck(best)
        hits = [self._ends(parent, token) for _, parent, token in found]
        for (score, parent, token), hit in list(zip(found, hits, strict=True))[: self._width]:
            if hit and score > _HOPELESS:
                self._finished.append(
                    (self._ranked(score, len(self.rows[0].output) + 1), [*self.rows[parent].output, token])
                )
        self._finished = sorted(self._finished, key=lambda entry: -entry[0])[: self._width]
        running = sorted(
            (
                (score + _HOPELESS if hit else score, parent, token)
                for (score, parent, token), hit in zip(found, hits, strict=True)
            ),
            key=lambda entry: -entry[0],
        )[: self._width]
        self._go_on(running)
        if all(hits) or self._is_over():
            return [], self._answers()
        return [(parent, token) for _, parent, token in running], []

    def end(self, reason: FinishReason) -> list[Piece]:
        """End with what is finished, or else with the best beam."""
        return self._answers(reason)

    def _candidates(self, log_p: Tensor) -> list[tuple[float, int, int]]:
        """(score, beam, token), best first: enough that ``num_beams`` are left when all others end."""
        sums = (log_p + self._scores.to(log_p.device)[:, None]).flatten()
        ends = len(self._plan.vocabulary.ends)
        top = sums.topk(min(max(2, 1 + ends) * self._width, len(sums)))
        size = log_p.shape[1]
        return [
            (score, i // size, i % size) for score, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ]

    def _ends(self, parent: int, token: int) -> bool:
        output = [*self.rows[parent].output, token]
        if token in self._plan.vocabulary.ends or len(output) >= self._plan.terms.limit:
            return True
        return bool(self._request.stop) and self._spelt(output).stop is not None

    def _ranked(self, score: float, length: int) -> float:
        return float(score / length**self._request.length_penalty)

    def _go_on(self, running: Sequence[tuple[float, int, int]]) -> None:
        self._scores = torch.tensor([score for score, _, _ in running])
        rows = []
        for _, parent, token in running:
            before = self.rows[parent]
            form = before.format.copy() if before.format is not None else None
            if form is not None:
                form.take(token)
            rows.append(dataclasses.replace(before, output=[*before.output, token], format=form))
        self.rows = rows

    def _is_over(self) -> bool:
        """Whether no open beam can be expected to beat the worst of ``num_beams`` finished ones."""
        if len(self._finished) < self._width:
            return False
        request, length = self._request, len(self.rows[0].output)
        if request.early_stopping == "never" and request.length_penalty > 0:
            length = self._plan.terms.limit
        hope = self._ranked(float(self._scores[0]), length)
        return request.early_stopping is True or hope <= self._finished[-1][0]

    def _stuck(self, best: float) -> list[Piece]:
        """No beam can go on: what is finished is the answer, if anything is and the numbers can be trusted."""
        if self._finished and not math.isnan(best):
            return self._answers()
        form = self.rows[0].format
        return self._answers("error", _error(best) or (form.error if form is not None else None) or _NO_TOKEN)

    def _answers(self, reason: FinishReason | None = None, error: str | None = None) -> list[Piece]:
        best = self._finished or [(0.0, self.rows[0].output)]
        return [
            Piece(rank, answer.text, answer=answer)
            for rank, answer in enumerate(
                self.answer(score, output, reason, error) for score, output in best[: self._request.n]
            )
        ]

    def answer(
        self, score: float, output: list[int], reason: FinishReason | None = None, error: str | None = None
    ) -> Generated:
        """A finished answer."""
        text, ends = self._spelt(output), self._plan.vocabulary.ends
        by = text.stop if text.stop is not None else output[-1] if output and output[-1] in ends else None
        return Generated(
            text.text,
            tuple(output),
            reason or ("length" if by is None else "stop"),
            self._plan.terms,
            by,
            score=score,
            error=error,
        )

    def _spelt(self, output: Sequence[int]) -> TextStream:
        text = TextStream(self._tokenizer, self._request.stop)
        for token in output:
            if token not in self._plan.vocabulary.ends:
                text.push(token)
        text.finish()
        return text


def chosen_elsewhere(
    plan: Plan,
    tokenizer: Any,
    number: int,
    tokens: Sequence[int],
    log_p: Sequence[Tensor] = (),
    score: float | None = None,
) -> Generated:
    """An answer whose tokens another program chose, as if they had been chosen here; it ends where it would have here.

    Args:
        plan: what was asked.
        tokenizer: of transformers.
        number: of the answer, among those of the request.
        tokens: in their order.
        log_p: natural log-probabilities (V,) at each place, where they are asked for.
        score: of a beam.
    """
    if plan.terms.request.num_beams > 1:
        return Beams(plan, tokenizer).answer(score or 0.0, list(tokens))
    choice = _Choice(plan, tokenizer, number)
    for place, token in enumerate(tokens):
        piece = choice.take(token, log_p[place] if log_p else None)
        if piece.answer is not None:
            return piece.answer
    last = choice.end("length").answer
    assert last is not None
    return last


def _error(best: float) -> str | None:
    """Why a row cannot go on whose likeliest token has this logit, if it cannot."""
    if math.isfinite(best):
        return None
    return _NO_TOKEN if best < 0 else NOT_FINITE


def token_logprob(token: int, log_p: Tensor, top: int) -> TokenLogprob:
    """One entry of an answer's log-probabilities; ``log_p`` (V,)."""
    best = log_p.topk(top) if top else None
    pairs = () if best is None else tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return TokenLogprob(token, float(log_p[token]), pairs)


def prompt_logprobs(prompt: Sequence[int], logits: Tensor, top: int) -> Iterator[TokenLogprob]:
    """Log-probabilities of a prompt's tokens; ``logits`` (tokens, V) of what follows each."""
    yield TokenLogprob(prompt[0], None)
    for token, row in zip(prompt[1:], logits, strict=False):
        yield token_logprob(token, row.log_softmax(0), top)
