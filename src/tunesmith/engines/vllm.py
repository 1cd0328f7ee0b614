"""Writes texts with vLLM in this process, on a GPU, where it is installed; a bundle of whole weights is opened as it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.errors import UsageError
from tunesmith.generation import protocol
from tunesmith.generation.facts import Facts

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.generation.answers import FinishReason, Generated
    from tunesmith.generation.request import GenerationRequest

_MOST_ROWS = 128


class Engine(base.Engine):
    """A decoder in vLLM."""

    honours = protocol.VLLM

    def __init__(self, facts: Facts, model: Any) -> None:
        self._facts, self._model = facts, model

    @classmethod
    def finds(cls, folder: Path) -> bool:
        return importlib.util.find_spec("vllm") is not None and (folder / "model.safetensors").is_file()

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        facts = Facts.in_folder(bundle.folder)
        if facts.has_encoder:
            raise UsageError("vLLM runs decoders alone", where=str(bundle.folder), hint="--engine ctranslate2")
        import vllm

        folder = str(bundle.folder)
        return cls(facts, vllm.LLM(model=folder, tokenizer=folder, enable_prefix_caching=True))

    @property
    def facts(self) -> Facts:
        return self._facts

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        raise UsageError("vLLM is not asked for the likelihood of given texts", hint="evaluate with the engine pytorch")

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        import vllm

        from tunesmith.generation.admit import Admission

        admission = Admission(self._facts, tokenizer, _MOST_ROWS, base.engine_name(type(self)))
        plans = [admission.plan(prompt, request, None) for prompt, request in zip(prompts, requests, strict=True)]
        asked = [vllm.SamplingParams(**sampling(plan)) for plan in plans]
        texts = [{"prompt_token_ids": list(plan.prompt)} for plan in plans]
        results = self._model.generate(texts, asked, use_tqdm=False)
        return [[told(plan, one) for one in result.outputs] for plan, result in zip(plans, results, strict=True)]


def sampling(plan: Any) -> dict[str, Any]:
    """A request as vLLM's ``SamplingParams``."""
    asked = plan.terms.request
    more = {"logprobs": asked.top_logprobs if asked.logprobs else None}
    own = protocol.of_vllm(plan)
    bias = own.pop("logit_bias", None)
    return {**own, **more, **({"logit_bias": {int(token): value for token, value in bias.items()}} if bias else {})}


def told(plan: Any, output: Any) -> Generated:
    """One of vLLM's outputs as an answer."""
    from tunesmith.generation.answers import Generated, TokenLogprob

    logprobs = []
    for token, place in zip(output.token_ids, output.logprobs or (), strict=False):
        best = sorted(((number, one.logprob) for number, one in place.items()), key=lambda pair: -pair[1])
        logprobs.append(TokenLogprob(token, place[token].logprob, tuple(best[: plan.terms.request.top_logprobs])))
    reason: FinishReason = "length" if output.finish_reason == "length" else "stop"
    return Generated(
        output.text, tuple(output.token_ids), reason, plan.terms, output.stop_reason, tuple(logprobs)
    )  # fmt: skip
