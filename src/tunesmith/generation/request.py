"""What a caller may ask of text generation, declared once: meaning, formula, legal range, default, search range.

In the formulas z are the logits of the next token, p = softmax(z), H the entropy of p in nats. Sources of the
formulas stand beside their code, in ``generation.sampler``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tunesmith import kinds, params, requested
from tunesmith.errors import Problem, UsageError
from tunesmith.params import Choices, Range, param

SamplerName = Literal[
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "dry",
    "no_repeat_ngram_size",
    "logit_bias",
    "allowed_token_ids",
    "bad_words",
    "min_tokens",
    "response_format",
    "temperature",
    "top_n_sigma",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "xtc",
]
FORMATS = {"text": None, "json_object": None, "json_schema": "json_schema"} | {
    name: name for name in ("regex", "choice", "grammar")
}
"""Kinds of answer that ``response_format`` may name, with the key of what each needs."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(_listed),
    kinds.Legal("text or a list of texts, none empty"),
]
TokenIds = tuple[Annotated[int, Field(ge=0)], ...]


def most_tokens(default: int | None) -> Any:
    """The declaration of ``max_tokens`` with a task's own default."""
    return param(
        default,
        "Most tokens to generate; none: until the context is full; 0, together with echo, only scores the prompt.",
        ge=0,
        search=Range(16, 512, log=True),
        also="max_completion_tokens",
    )


class GenerationRequest(params.Params):
    """Parameters of one request; batch mates may have other ones."""

    max_tokens: int | None = most_tokens(None)
    min_tokens: int = param(
        0, "No end token before this many tokens (its logit is -inf); stop strings still stop.", ge=0
    )
    temperature: float = param(
        0.0, "z / temperature: below 1 bolder, above 1 more varied; 0 takes the likeliest token.", ge=0, le=100,
        search=Range(0.0, 1.5),
    )  # fmt: skip
    top_k: int = param(0, "Draw from the k likeliest tokens (ties stay); 0: all.", ge=0, search=Range(1, 100, log=True))
    top_p: float = param(
        1.0, "Draw from the fewest likeliest tokens whose p sum to this; 1: all.", gt=0, le=1, search=Range(0.5, 1.0)
    )
    min_p: float = param(
        0.0, "Draw from the tokens with p >= min_p * (the largest p); 0: all.", ge=0, le=1, search=Range(0.0, 0.3)
    )
    typical_p: float = param(
        1.0,
        "Draw from the tokens with the smallest |-ln p - H| whose p sum to this; 1: all.",
        gt=0,
        le=1,
        search=Range(0.2, 1.0),
    )
    top_n_sigma: float | None = param(
        None, "Draw from the tokens with z >= max z - n * (standard deviation of z); none: all.", gt=0,
        search=Range(0.5, 3.0),
    )  # fmt: skip
    epsilon_cutoff: float = param(
        0.0, "Draw from the tokens with p >= this; 0: all.", ge=0, lt=1, search=Range(1e-5, 1e-2, log=True)
    )
    eta_cutoff: float = param(
        0.0,
        "Draw from the tokens with p >= min(eta, sqrt(eta) * exp(-H)); 0: all.",
        ge=0,
        lt=1,
        search=Range(1e-5, 1e-2, log=True),
    )
    xtc_probability: float = param(
        0.0,
        "With this probability, of the tokens with p >= xtc_threshold all but the least likely are dropped.",
        ge=0,
        le=1,
        search=Range(0.0, 1.0),
    )
    xtc_threshold: float = param(0.1, "See xtc_probability; above 0.5 nothing is dropped.", ge=0, le=1)
    dry_multiplier: float = param(
        0.0,
        "A token that would prolong a repetition of n >= dry_allowed_length tokens loses multiplier * base^(n - allowed); 0: off.",
        ge=0,
        search=Range(0.0, 2.0),
    )
    dry_base: float = param(1.75, "See dry_multiplier.", ge=1)
    dry_allowed_length: int = param(2, "See dry_multiplier.", ge=1)
    dry_sequence_breakers: Texts = param(
        ("\n", ":", '"', "*"), "A repetition does not reach across a token that holds one of these."
    )
    repetition_penalty: float = param(
        1.0,
        "Each token that stands in the prompt or the answer: z / r where z > 0, z * r elsewhere; 1: off.",
        gt=0,
        le=10,
        search=Range(1.0, 1.5),
    )
    frequency_penalty: float = param(
        0.0, "z - penalty * (how often the token stands in the answer).", ge=-2, le=2, search=Range(0.0, 1.0)
    )
    presence_penalty: float = param(
        0.0, "z - penalty, for each token that stands in the answer.", ge=-2, le=2, search=Range(0.0, 1.0)
    )
    no_repeat_ngram_size: int = param(
        0, "No sequence of this many tokens comes twice; 0: off.", ge=0, search=Choices((0, 2, 3, 4))
    )
    logit_bias: dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-100, le=100)]] = param(
        {}, "{token id: b}: z + b, b from -100 to 100."
    )
    bad_words: Texts = param((), "Words that the answer must not hold: the token that would complete one is ruled out.")
    allowed_token_ids: TokenIds | None = param(None, "Only these tokens may come (and the end); none: all.")
    stop: Texts = param((), "Texts at which the answer ends; they are not part of it.")
    stop_token_ids: TokenIds = param((), "Tokens at which the answer ends, beside the model's own end.")
    ignore_eos: bool = param(False, "Go on past the model's own end token.")
    seed: int | None = param(
        None, "Same seed and request, same answer, whatever else is in the batch; none: a fresh one, told in the answer.",
        ge=0, lt=2**63,
    )  # fmt: skip
    n: int = param(1, "How many answers; with beams the best ones, else drawn apart.", ge=1, le=128)
    best_of: int | None = param(
        None, "Draw this many answers and give the n with the best mean log-probability; none: n.", ge=1, le=128
    )
    logprobs: bool = param(False, "Give the natural log-probability of each token of the answer.")
    top_logprobs: int = param(0, "Also list this many likeliest tokens at each place.", ge=0, le=20)
    logprobs_of: Literal["raw", "processed"] = param(
        "raw", "Log-probabilities of the model's own logits, or of what the samplers made of them."
    )
    echo: bool = param(False, "The answer starts with the prompt, with its log-probabilities if asked for.")
    num_beams: int = param(1, "Width of the beam search; 1: none.", ge=1, le=64, search=Choices((1, 2, 4, 8)))
    length_penalty: float = param(
        1.0, "Beams are ranked by (sum of log p) / length^this: above 0 favours long answers.", ge=-10, le=10,
        search=Range(0.0, 2.0),
    )  # fmt: skip
    early_stopping: bool | Literal["never"] = param(
        False,
        "True: stop at num_beams finished beams; false: when a better one is unlikely; never: when it is impossible.",
        search=Choices((True, False, "never")),
    )
    sampler_order: tuple[SamplerName, ...] | None = param(
        None, "Samplers in the order they run; those not named run first, in the usual order; none: the usual order."
    )
    truncate_prompt: Literal["no", "start", "end"] = param(
        "no", "Which end of a prompt that leaves no room for max_tokens is cut off; no: it is refused."
    )
    response_format: Annotated[
        dict[str, Any] | None, kinds.Legal(f"a mapping with type: one of {', '.join(FORMATS)}")
    ] = param(
        None,
        "What the answer must be: {type: json_object}, {type: json_schema, json_schema: {schema: ...}}, "
        "{type: regex, regex: ...}, {type: choice, choice: [...]}, {type: grammar, grammar: ... in Lark's syntax}.",
    )

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken rather than one drawn."""
        return self.temperature < 1e-5  # dividing by less would overflow

    @property
    def rows(self) -> int:
        """How many rows of a batch it takes."""
        return self.num_beams if self.num_beams > 1 else self.best_of or self.n


_OF_DRAWING = (
    "top_k", "top_p", "min_p", "typical_p", "top_n_sigma", "epsilon_cutoff", "eta_cutoff", "xtc_probability", "seed",
)  # fmt: skip


def check(request: GenerationRequest) -> list[str]:
    """Refuse parameters that do not go together; return a warning for each that has no effect.

    Raises:
        UsageError: with every conflict.
    """
    problems = [Problem(message, name) for name, message in _conflicts(request)]
    if problems:
        raise UsageError("parameters that do not go together", problems=problems)
    return list(_idle(request))


def _conflicts(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    r = request
    if r.max_tokens is not None and r.min_tokens > r.max_tokens:
        yield "min_tokens", f"{r.min_tokens} is more than max_tokens, {r.max_tokens}"
    if r.max_tokens == 0 and not r.echo:
        yield "max_tokens", "0 makes sense only with echo"
    if r.top_logprobs and not r.logprobs:
        yield "top_logprobs", "needs logprobs: true"
    if r.allowed_token_ids == ():
        yield "allowed_token_ids", "is empty: no token would be left"
    if r.num_beams > 1:
        yield from _beam_conflicts(r)
    elif r.best_of is not None and r.best_of < r.n:
        yield "best_of", f"{r.best_of} is less than n, {r.n}"
    elif r.rows > 1 and r.greedy:
        yield "best_of" if r.n == 1 else "n", "several answers at temperature 0 would all be the same"
    if r.sampler_order is not None and len(set(r.sampler_order)) < len(r.sampler_order):
        yield "sampler_order", "names a sampler twice"
    if r.response_format is not None:
        yield from _format_conflicts(r, r.response_format)


def _beam_conflicts(r: GenerationRequest) -> Iterator[tuple[str, str]]:
    if not r.greedy:
        yield "temperature", "a beam search does not draw: temperature must be 0"
    if r.n > r.num_beams:
        yield "n", f"{r.n} answers from num_beams {r.num_beams}"
    if r.best_of is not None:
        yield "best_of", "a beam search has num_beams instead"
    if r.logprobs:
        yield "logprobs", "a beam search gives the score of each answer, not of its tokens"


def _format_conflicts(r: GenerationRequest, form: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = form.get("type")
    if not isinstance(kind, str) or kind not in FORMATS:
        yield "response_format", f"type is {kind!r}; legal: {', '.join(FORMATS)}"
        return
    needed = FORMATS[kind]
    if needed and needed not in form:
        yield "response_format", f"type {kind} needs the key '{needed}'"
    if unknown := sorted(set(form) - {"type", needed}):
        yield "response_format", f"type {kind} has no key '{unknown[0]}'"
    if r.ignore_eos and kind != "text":
        yield "ignore_eos", "an answer of a given format ends where the format says"


def _idle(r: GenerationRequest) -> Iterator[str]:
    reasons: list[requested.Reason] = [
        (r.greedy and r.num_beams == 1, _OF_DRAWING, "temperature is 0, so the likeliest token is taken"),
        (r.num_beams > 1, _OF_DRAWING, "a beam search does not draw"),
        (r.num_beams == 1, ("length_penalty", "early_stopping"), "num_beams is 1"),
        (not r.logprobs, ("logprobs_of",), "logprobs is false"),
        (r.dry_multiplier == 0, ("dry_base", "dry_allowed_length", "dry_sequence_breakers"), "dry_multiplier is 0"),
        (r.xtc_probability == 0, ("xtc_threshold",), "xtc_probability is 0"),
        (r.xtc_threshold > 0.5, ("xtc_probability",), "xtc_threshold is above 0.5"),
        (r.ignore_eos and not r.stop_token_ids, ("min_tokens",), "there is no end token that it could hold off"),
        (r.best_of == r.n, ("best_of",), "it is n, so every answer is given"),
    ]
    return requested.idle(r, reasons)
