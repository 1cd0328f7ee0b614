"""A request in the terms of OpenAI's protocol, and in those that vLLM adds to it; and what of a request these can say.

Where vLLM and the samplers here differ: it rules out by min_p before top_p, adds biases before it divides by
repetition_penalty, and looks for stop strings only after min_tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.generation.honours import ALWAYS, Case, When

if TYPE_CHECKING:
    from tunesmith.generation.admit import Plan


def _no_order(case: Case) -> bool:
    return case.request.sampler_order is None or case.request.greedy


PLAIN: dict[str, When] = {
    "max_tokens": ALWAYS,
    "temperature": When("up to 2", lambda case: case.request.temperature <= 2),
    "top_p": When(
        "with temperature 0 or 1, as servers differ in which comes first",
        lambda case: case.request.temperature in (0, 1),
    ),
    "frequency_penalty": ALWAYS,
    "presence_penalty": ALWAYS,
    "logit_bias": ALWAYS,
    "stop": When("with up to four texts", lambda case: len(case.request.stop) <= 4),
    "seed": ALWAYS,
    "n": ALWAYS,
    "truncate_prompt": ALWAYS,
}
"""What can be asked of every server that speaks the protocol."""

VLLM: dict[str, When] = {
    **PLAIN,
    "temperature": ALWAYS,
    "top_k": ALWAYS,
    "top_p": ALWAYS,
    "min_p": When("without top_p", lambda case: case.request.top_p == 1),
    "repetition_penalty": When("up to 2", lambda case: case.request.repetition_penalty <= 2),
    "logit_bias": When("without repetition_penalty", lambda case: case.request.repetition_penalty == 1),
    "min_tokens": ALWAYS,
    "allowed_token_ids": ALWAYS,
    "stop": When("without min_tokens", lambda case: case.request.min_tokens == 0),
    "stop_token_ids": ALWAYS,
    "ignore_eos": ALWAYS,
    "logprobs": ALWAYS,
    "top_logprobs": ALWAYS,
    "sampler_order": When("where nothing is drawn", _no_order),
}
"""What can be asked of vLLM."""

_SAMPLED = ("temperature", "top_p", "frequency_penalty", "presence_penalty")


def plain(plan: Plan) -> dict[str, Any]:
    """The parameters of a request that every server knows."""
    asked = plan.terms.request
    told: dict[str, Any] = {name: getattr(asked, name) for name in _SAMPLED}
    told |= {"max_tokens": plan.terms.limit, "n": asked.n, "seed": plan.terms.seed}
    told["temperature"] = 0.0 if asked.greedy else asked.temperature
    if asked.stop:
        told["stop"] = list(asked.stop)
    if asked.logit_bias:
        told["logit_bias"] = {str(token): bias for token, bias in asked.logit_bias.items()}
    return told


def of_vllm(plan: Plan) -> dict[str, Any]:
    """The parameters of a request by vLLM's names, which its ``SamplingParams`` share."""
    asked = plan.terms.request
    told = plain(plan) | {
        "top_k": asked.top_k,
        "min_p": asked.min_p,
        "repetition_penalty": asked.repetition_penalty,
        "min_tokens": asked.min_tokens,
        "stop_token_ids": sorted(plan.vocabulary.ends),
        "ignore_eos": asked.ignore_eos,
    }
    if asked.allowed_token_ids is not None:
        told["allowed_token_ids"] = [*asked.allowed_token_ids, *sorted(plan.vocabulary.ends)]
    return told
