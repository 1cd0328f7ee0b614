"""What generation gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tunesmith.generation.request import GenerationRequest, SamplerName

FinishReason = Literal["stop", "length", "cancelled", "error"]
NOT_FINITE = "the model's numbers are not finite here"
"""The one reason why an answer cannot go on for which its request is not to blame."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token with its natural log-probability (None for a prompt's first) and the likeliest tokens at its place."""

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Terms:
    """On what terms a request was answered.

    request: as checked. seed: as used. limit: most tokens that the answer could have. prompt_tokens: that were read.
    warnings: parameters without effect, and what was cut. sampler_order: as run. engine: what answered.
    """

    request: GenerationRequest
    seed: int
    limit: int
    prompt_tokens: int
    warnings: tuple[str, ...]
    sampler_order: tuple[SamplerName, ...]
    engine: str = "pytorch"


@dataclass(frozen=True)
class Generated:
    """One answer.

    tokens: all that were generated, an end token too. text: of the answer, without end and stop strings; with echo
    the prompt comes first. stopped_by: the stop string or the end token. score: of a beam, (sum of log p) / length^
    length_penalty; of ``best_of``, the mean log p. error: why there is no more, where the finish reason is "error".
    counted: how many tokens were generated, where a server tells no more of them than that; None: as many as ``tokens``.
    """

    text: str
    tokens: tuple[int, ...]
    finish_reason: FinishReason
    terms: Terms
    stopped_by: str | int | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    score: float | None = None
    error: str | None = None
    counted: int | None = None

    @property
    def token_count(self) -> int:
        """How many tokens were generated."""
        return len(self.tokens) if self.counted is None else self.counted


@dataclass(frozen=True)
class Piece:
    """News of an answer: letters and a token that are new, and the whole of it once it is finished.

    Letters can come later than their token. Of beams and of ``best_of`` only finished answers are told.
    """

    choice: int
    text: str = ""
    token: int | None = None
    logprob: TokenLogprob | None = None
    answer: Generated | None = None
