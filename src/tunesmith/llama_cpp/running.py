"""llama.cpp itself, by the package xllamacpp, as far as it takes to compare its answers with the network's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.engines import base
from tunesmith.errors import BundleError
from tunesmith.generation.facts import Facts
from tunesmith.generation.honours import ALWAYS, Honours, When

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

    honours: ClassVar[Honours] = {
        "max_tokens": ALWAYS,
        "ignore_eos": When("for one token", lambda case: case.request.max_tokens == 1),
        "logprobs": ALWAYS,
        "top_logprobs": ALWAYS,
        "seed": When("where nothing is drawn", lambda case: case.request.greedy),
    }

    def __init__(self, file: Path, facts: Facts, tokenizer: Any) -> None:
        import xllamacpp

        self._facts = facts
        # It tells of no place whose token is half a letter. Where one place alone is wanted, a whole letter is chosen
        # there: what is told of the likeliest tokens is from before the choice.
        self._letter = next(number for name, number in tokenizer.get_vocab().items() if name in "abcdefgh")
        settings = xllamacpp.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = facts.context or 0
        settings.n_parallel = 1
        settings.warmup, settings.verbosity = False, -1
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
        told = [self._ask(prompt, 1, 5) for prompt in (text, list(tokens))]
        return bool(
            told[0]["usage"]["prompt_tokens"] == told[1]["usage"]["prompt_tokens"]
            and _likeliest(told[0]) == _likeliest(told[1])
        )

    def _ask(self, prompt: Any, tokens: int, listed: int, *, ignore_eos: bool = True) -> dict[str, Any]:
        told: dict[str, Any] = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": tokens,
                "temperature": 0.0,
                "ignore_eos": ignore_eos,
                "logit_bias": [[self._letter, 1000.0]] if tokens == 1 else [],
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
        told = self._ask(list(plan.prompt), plan.terms.limit, max(1, asked.top_logprobs), ignore_eos=asked.ignore_eos)
        places = _places(told)
        logprobs = tuple(
            TokenLogprob(
                place["id"],
                place["logprob"],
                tuple((one["id"], one["logprob"]) for one in place["top_logprobs"][: asked.top_logprobs]),
            )
            for place in places
        )
        tokens = tuple(place["id"] for place in places)
        return Generated(told["choices"][0]["text"], tokens, "stop", plan.terms, logprobs=logprobs)


def _places(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Each token of an answer with the likeliest ones at its place."""
    found: list[dict[str, Any]] = (told["choices"][0]["logprobs"] or {"content": []})["content"]
    return found


def _likeliest(told: dict[str, Any]) -> list[tuple[int, float]]:
    return [(one["id"], one["logprob"]) for one in _places(told)[0]["top_logprobs"]]
