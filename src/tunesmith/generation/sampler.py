"""From logits to a token: the table of samplers, the order in which they run, and the draw.

Order: penalties, bias, what is allowed, temperature, truncations; ``sampler_order`` changes it row by row.
The random numbers of a draw depend on (seed, choice, step) alone, so batch mates never change it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tunesmith.generation import processors
from tunesmith.generation.grammar import Format
from tunesmith.generation.request import GenerationRequest, SamplerName

# What a random number is for.
_TOKEN, _XTC = 0, 1
_BLOCK = 256
# Below e to this a weight is nothing beside the largest, and numbers become slow.
_LEAST = -87.0


@dataclass(frozen=True)
class Vocabulary:
    """What the samplers of one request need to know of tokens.

    ends: tokens that end the answer. suppressed: tokens that the model itself never gives. bad_words: banned
    sequences of tokens. breakers: tokens that break a repetition.
    """

    ends: frozenset[int] = frozenset()
    suppressed: tuple[int, ...] = ()
    bad_words: tuple[tuple[int, ...], ...] = ()
    breakers: frozenset[int] = frozenset()


@dataclass
class Row:
    """One row of the batch as the samplers see it: prompt and output are token ids."""

    request: GenerationRequest
    prompt: Sequence[int]
    output: list[int] = field(default_factory=list)
    vocabulary: Vocabulary = Vocabulary()
    format: Format | None = None
    seed: int = 0
    choice: int = 0

    @property
    def history(self) -> list[int]:
        """Prompt and output."""
        return [*self.prompt, *self.output]


@dataclass(frozen=True)
class Sampler:
    """One step from logits to a token. ``draws`` marks those that a greedy choice leaves out."""

    name: SamplerName
    is_on: Callable[[Row], Any]
    apply: Callable[[Tensor, Sequence[Row]], Tensor]
    draws: bool = False

    @property
    def formula(self) -> str:
        """Formula and source."""
        return str(getattr(processors, _FUNCTIONS.get(self.name, self.name)).__doc__).strip()


_FUNCTIONS = {"allowed_token_ids": "allowed", "min_tokens": "forbidden", "response_format": "allowed"}


def _value(z: Tensor, rows: Sequence[Row], name: str) -> Tensor:
    return torch.tensor([getattr(row.request, name) for row in rows], device=z.device, dtype=z.dtype)


def _by_value(name: SamplerName, off: float, *, draws: bool = True) -> Sampler:
    function = getattr(processors, name)
    return Sampler(
        name,
        lambda row: getattr(row.request, name) not in (off, None),
        lambda z, rows: function(z, _value(z, rows, name)),
        draws,
    )


def _by_history(name: SamplerName, off: float, history: Callable[[Row], Sequence[int]]) -> Sampler:
    function = getattr(processors, name)
    return Sampler(
        name,
        lambda row: getattr(row.request, name) != off,
        lambda z, rows: function(z, _value(z, rows, name), [history(row) for row in rows]),
    )


def _dry(z: Tensor, rows: Sequence[Row]) -> Tensor:
    multiplier, base, allowed = (_value(z, rows, f"dry_{name}") for name in ("multiplier", "base", "allowed_length"))
    histories, breakers = [row.history for row in rows], [row.vocabulary.breakers for row in rows]
    return processors.dry(z, multiplier, base, allowed, histories, breakers)


def _top_p(z: Tensor, rows: Sequence[Row]) -> Tensor:
    """Where top_k leaves few tokens, no more are sorted at first."""
    largest = max((row.request.top_k or processors.FIRST) for row in rows)
    return processors.top_p(z, _value(z, rows, "top_p"), first=min(largest, processors.FIRST) + 1)


def _xtc(z: Tensor, rows: Sequence[Row]) -> Tensor:
    happens = torch.tensor([uniform(row, _XTC) < row.request.xtc_probability for row in rows], device=z.device)
    return torch.where(happens[:, None], processors.xtc(z, _value(z, rows, "xtc_threshold")), z)


def _format(z: Tensor, rows: Sequence[Row]) -> Tensor:
    masks = torch.stack([row.format.allowed() for row in rows if row.format is not None])
    return z.masked_fill(~masks.to(z.device), processors.OUT)


SAMPLERS: tuple[Sampler, ...] = (
    _by_history("repetition_penalty", 1, lambda row: row.history),
    _by_history("frequency_penalty", 0, lambda row: row.output),
    _by_history("presence_penalty", 0, lambda row: row.output),
    Sampler("dry", lambda row: row.request.dry_multiplier, _dry),
    _by_history("no_repeat_ngram_size", 0, lambda row: row.history),
    Sampler(
        "logit_bias",
        lambda row: row.request.logit_bias,
        lambda z, rows: processors.logit_bias(z, [row.request.logit_bias for row in rows]),
    ),
    Sampler(
        "allowed_token_ids",
        lambda row: row.request.allowed_token_ids is not None,
        lambda z, rows: processors.allowed(
            z, [[*(row.request.allowed_token_ids or ()), *row.vocabulary.ends] for row in rows]
        ),
    ),
    Sampler(
        "bad_words",
        lambda row: row.vocabulary.bad_words,
        lambda z, rows: processors.bad_words(
            z, [row.vocabulary.bad_words for row in rows], [row.output for row in rows]
        ),
    ),
    Sampler(
        "min_tokens",
        lambda row: len(row.output) < row.request.min_tokens,
        lambda z, rows: processors.forbidden(z, [list(row.vocabulary.ends) for row in rows]),
    ),
    Sampler("response_format", lambda row: row.format is not None, _format),
    _by_value("temperature", 1),
    _by_value("top_n_sigma", 0),
    _by_value("top_k", 0),
    Sampler("top_p", lambda row: row.request.top_p < 1, _top_p, draws=True),
    _by_value("min_p", 0),
    _by_value("typical_p", 1),
    _by_value("epsilon_cutoff", 0),
    _by_value("eta_cutoff", 0),
    Sampler("xtc", lambda row: row.request.xtc_probability, _xtc, draws=True),
)
_BY_NAME = {sampler.name: sampler for sampler in SAMPLERS}


def order(request: GenerationRequest) -> tuple[SamplerName, ...]:
    """The samplers in the order in which they run for a request: those it does not name come first."""
    named = request.sampler_order or ()
    return (*(sampler.name for sampler in SAMPLERS if sampler.name not in named), *named)


def process(logits: Tensor, rows: Sequence[Row]) -> Tensor:
    """Logits (B, V) after each row's samplers; tokens that may not come are -inf. The logits given are left alone."""
    groups: dict[tuple[SamplerName, ...], list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(order(row.request), []).append(number)
    z = processors.forbidden(logits, [row.vocabulary.suppressed for row in rows])
    for names, numbers in groups.items():
        for sampler in map(_BY_NAME.__getitem__, names):
            on = [n for n in numbers if sampler.is_on(rows[n]) and not (sampler.draws and rows[n].request.greedy)]
            if len(on) == len(rows):
                z = sampler.apply(z, rows)
            elif on:
                z[on] = sampler.apply(z[on], [rows[n] for n in on])
    return z


def draw(processed: Tensor, rows: Sequence[Row]) -> list[int]:
    """One token a row: the likeliest for a greedy row, else the one at which the running sum of p passes a uniform number."""
    drawing = [number for number, row in enumerate(rows) if not row.request.greedy]
    if not drawing:
        return processed.argmax(1).tolist()
    numbers = torch.tensor([uniform(rows[number], _TOKEN) for number in drawing], dtype=torch.float64)
    if len(drawing) == len(rows):
        return _where_passed(_weights(processed), numbers.to(processed.device)).tolist()
    tokens = processed.argmax(1)
    tokens[drawing] = _where_passed(_weights(processed[drawing]), numbers.to(processed.device))
    return tokens.tolist()


def _weights(z: Tensor) -> Tensor:
    """exp(z - max z), 0 where a token is ruled out; the exponential of -inf itself is slow."""
    return (z - z.amax(1, keepdim=True)).clamp_(min=_LEAST).exp_() * (z > processors.OUT)


def _where_passed(weights: Tensor, shares: Tensor) -> Tensor:
    """The first place (B,) at which the running sum of weights (B, V) is over a share of their sum, 0 <= share < 1.

    It is sought among sums of blocks first and then within one: a running sum of the whole vocabulary is slow. A
    place of weight 0 is never the first, however sums are rounded.
    """
    blocks = functional.pad(weights, (0, -weights.shape[1] % _BLOCK)).reshape(len(weights), -1, _BLOCK)
    sums = blocks.sum(2, dtype=torch.float64).cumsum(1)
    points = torch.minimum(
        shares[:, None] * sums[:, -1:], torch.nextafter(sums[:, -1:], torch.zeros_like(sums[:, -1:]))
    )
    block = torch.searchsorted(sums, points, right=True).clamp(max=sums.shape[1] - 1)  # over where sums are no numbers
    rest = points - functional.pad(sums, (1, 0)).gather(1, block)
    inside = blocks[torch.arange(len(blocks), device=blocks.device), block[:, 0]].cumsum(1, dtype=torch.float64)
    place: Tensor = block[:, 0] * _BLOCK + ((inside <= rest) & (inside < inside[:, -1:])).sum(1)
    return place


def uniform(row: Row, purpose: int) -> float:
    """A number in [0, 1) that depends on (seed, choice, step, purpose) alone (Philox, Salmon et al. 2011)."""
    bits = np.random.Philox(key=[row.seed, row.choice], counter=[len(row.output), purpose, 0, 0])
    return float(np.random.Generator(bits).random())
