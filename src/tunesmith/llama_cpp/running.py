"""llama.cpp itself, by the package xllamacpp, as far as it takes to compare its answers with the network's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.errors import BundleError
from tunesmith.generation.facts import Facts
from tunesmith.generation.honours import ALWAYS, When

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.generation.answers import Generated
    from tunesmith.generation.request import GenerationRequest


def is_here() -> bool:
    """Whether the program can be run."""
    return importlib.util.find_spec("xllamacpp") is not None


class Engine(base.Engine):
    """A GGUF file in llama.cpp, which takes the likeliest tokens."""

    honours = {
        "max_tokens": ALWAYS,
        "ignore_eos": ALWAYS,
        "logprobs": ALWAYS,
        "top_logprobs": ALWAYS,
        "seed": When("where nothing is drawn", lambda case: case.request.greedy),
    }

    def __init__(self, file: Path, facts: Facts) -> None:
        import xllamacpp

        self._facts = facts
        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = facts.context or 0
        settings.n_parallel = 1
        settings.warmup = False
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
        self._server = xllamacpp.Server(settings)

    @classmethod
    def finds(cls, folder: Path) -> bool:
        return False

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        raise NotImplementedError("it is opened on a file")

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        raise NotImplementedError("llama.cpp says nothing of texts that are given")

    @property
    def facts(self) -> Facts:
        return self._facts

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        from tunesmith.generation.admit import Admission

        admission = Admission(self._facts, tokenizer, 1, "llama.cpp")
        plans = [admission.plan(prompt, request, None) for prompt, request in zip(prompts, requests, strict=True)]
        return [[self._answer(plan, tokenizer)] for plan in plans]

    def reads_as(self, text: str, tokens: Sequence[int]) -> bool:
        """Whether it makes these tokens of a text, by how many they are and what follows them."""
        told = [self._ask(prompt, 1, 5, ignore_eos=True) for prompt in (text, list(tokens))]
        return bool(
            told[0]["tokens_evaluated"] == told[1]["tokens_evaluated"]
            and _likeliest(told[0]) == _likeliest(told[1])
        )

    def _ask(self, prompt: Any, tokens: int, listed: int, *, ignore_eos: bool) -> dict[str, Any]:
        told: dict[str, Any] = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": tokens,
                "temperature": 0.0,
                "ignore_eos": ignore_eos,
                "n_probs": listed,
                "cache_prompt": False,
                "samplers": ["temperature"],
                "repeat_penalty": 1.0,
            }
        )
        if "error" in told:
            raise BundleError(f"llama.cpp: {told['error'].get('message')}")
        return told

    def _answer(self, plan: Any, tokenizer: Any) -> Generated:
        from tunesmith.generation.answers import Generated, TokenLogprob

        asked = plan.terms.request
        told = self._ask(
            list(plan.prompt), plan.terms.limit, max(1, asked.top_logprobs), ignore_eos=asked.ignore_eos
        )
        places = told["completion_probabilities"]
        logprobs = tuple(
            TokenLogprob(
                place["id"],
                place["logprob"],
                tuple((one["id"], one["logprob"]) for one in place["top_logprobs"][: asked.top_logprobs]),
            )
            for place in places
        )
        tokens = tuple(place["id"] for place in places)
        return Generated(told["content"], tokens, "stop", plan.terms, logprobs=logprobs)


def _likeliest(told: dict[str, Any]) -> list[tuple[int, float]]:
    return [(one["id"], one["logprob"]) for one in told["completion_probabilities"][0]["top_logprobs"]]
