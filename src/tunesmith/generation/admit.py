"""A request is checked against the model before it gets a place in the batch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tunesmith.errors import ContextError, Problem, UsageError
from tunesmith.generation import request as requests
from tunesmith.generation.answers import Terms
from tunesmith.generation.facts import Facts
from tunesmith.generation.grammar import Format, Formats
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.sampler import Vocabulary, order

# The most tokens of an answer where neither the request nor the model nor the tokenizer sets a limit.
_UNLIMITED = 512
# A tokenizer says so large a number where it knows no limit.
_NO_LENGTH = 1_000_000


@dataclass(frozen=True)
class Plan:
    """A checked request: what is read, and what its samplers need to know.

    prompt: tokens that the decoder reads first. source: tokens that the encoder reads, where there is one.
    """

    terms: Terms
    prompt: tuple[int, ...]
    source: tuple[int, ...]
    vocabulary: Vocabulary
    format: Format | None


class Admission:
    """Checks requests against a model and its tokenizer; ``engine`` is what will answer them."""

    def __init__(self, facts: Facts, tokenizer: Any, max_rows: int, engine: str = "pytorch") -> None:
        self._facts, self._tokenizer, self._max_rows, self._engine = facts, tokenizer, max_rows, engine
        self._formats = Formats(tokenizer, facts.size, facts.ends)

    def warm(self) -> None:
        """Do now what the first request would wait for."""
        self._formats.warm()

    def plan(self, prompt: Sequence[int], request: GenerationRequest, start: Sequence[int] | None) -> Plan:
        """Check a request.

        Args:
            prompt: token ids.
            request: its parameters.
            start: the tokens that an encoder-decoder's answer begins with; None: the model's own.

        Raises:
            UsageError: for parameters that do not go together or do not fit the model.
            ContextError: if prompt and answer are too long.
        """
        warnings = requests.check(request)
        self._fits_model(request, prompt)
        begin = tuple(start if start is not None else self._facts.start) if self._facts.has_encoder else ()
        read, limit, cut = self._fit(prompt, request, len(begin))
        seed = request.seed if request.seed is not None else secrets.randbits(63)
        terms = Terms(request, seed, limit, len(read), (*warnings, *cut), order(request), self._engine)
        form = request.response_format
        return Plan(
            terms,
            begin or read,
            read if self._facts.has_encoder else (),
            self._vocabulary(request),
            self._formats.start(form) if form else None,
        )

    def _fits_model(self, request: GenerationRequest, prompt: Sequence[int]) -> None:
        problems = [
            Problem(f"no token {token}", name, f"legal: 0 to {self._facts.size - 1}")
            for name in ("logit_bias", "allowed_token_ids", "stop_token_ids")
            for token in getattr(request, name) or ()
            if token >= self._facts.size
        ]
        if request.rows > self._max_rows:
            which = "num_beams" if request.num_beams > 1 else "best_of" if request.best_of else "n"
            problems.append(
                Problem(f"{request.rows} is more rows than the batch has", which, f"legal: <= {self._max_rows}")
            )
        if request.echo and self._facts.has_encoder:
            problems.append(Problem("an encoder-decoder's answer does not go on from its prompt", "echo"))
        if not len(prompt):
            problems.append(Problem("is empty", "prompt"))
        if problems:
            raise UsageError("the request does not fit the model", problems=problems)

    def _fit(
        self, prompt: Sequence[int], request: GenerationRequest, begin: int
    ) -> tuple[tuple[int, ...], int, list[str]]:
        """The prompt, cut where the request says so; the most tokens that the answer can have; what was cut."""
        context, wanted, sides = self._facts.context, request.max_tokens, 2 if self._facts.has_encoder else 1
        if context is None:
            longest = getattr(self._tokenizer, "model_max_length", _NO_LENGTH)
            return tuple(prompt), wanted if wanted is not None else longest if longest < _NO_LENGTH else _UNLIMITED, []
        room = context if sides == 2 else context - (1 if wanted is None else wanted)
        read = tuple(prompt)
        if len(read) > room > 0 and request.truncate_prompt != "no" and (wanted is not None or sides == 2):
            read = read[-room:] if request.truncate_prompt == "start" else read[:room]
        used = begin if sides == 2 else len(read)
        limit = context - used if wanted is None else wanted
        if len(read) > room or used + limit > context or (limit < 1 and wanted != 0):
            raise _too_long(len(prompt), wanted, context, sides)
        cut = [f"prompt cut from {len(prompt)} to {len(read)} tokens"] if len(read) < len(prompt) else []
        return read, limit, cut

    def _vocabulary(self, request: GenerationRequest) -> Vocabulary:
        ends = set(request.stop_token_ids) | (set() if request.ignore_eos else self._facts.ends)
        encode = self._tokenizer.encode
        words = [encode(lead + word, add_special_tokens=False) for word in request.bad_words for lead in ("", " ")]
        return Vocabulary(
            frozenset(ends),
            tuple(token for token in self._facts.suppressed if token not in ends),
            tuple(dict.fromkeys(tuple(word) for word in words if word)),
            self._breakers(request.dry_sequence_breakers) if request.dry_multiplier else frozenset(),
        )

    def _breakers(self, breakers: Sequence[str]) -> frozenset[int]:
        return frozenset(i for i, text in enumerate(self._spelt) if any(breaker in text for breaker in breakers))

    @cached_property
    def _spelt(self) -> list[str]:
        """The text of every token."""
        return [self._tokenizer.decode([token]) for token in range(len(self._tokenizer))]


def _too_long(prompt: int, wanted: int | None, context: int, sides: int) -> ContextError:
    asked = "no max_tokens" if wanted is None else f"max_tokens {wanted}"
    each = "each side's context" if sides == 2 else "the context"
    return ContextError(
        f"the prompt has {prompt} tokens and the request {asked}, but {each} holds {context} tokens",
        hint="shorten the prompt, lower max_tokens, or set truncate_prompt together with max_tokens",
    )
