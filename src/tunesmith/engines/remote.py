"""Asks a server that speaks OpenAI's protocol, such as vLLM's, for the texts; the model is served at its address.

Prompts go as token ids, made here by the bundle's own tokenizer, so that the server reads what was evaluated. A plain
server is asked in OpenAI's terms alone; one that says it is vLLM also in those that vLLM adds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.errors import EngineError, UsageError
from tunesmith.generation import protocol
from tunesmith.generation.facts import Facts
from tunesmith.generation.honours import Honours

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.generation.admit import Plan
    from tunesmith.generation.answers import Generated, TokenLogprob
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.generation.servers import Server

ADDRESS = "TUNESMITH_ENGINE_URL"
"""Environment variable with the server's address, where the call names none."""

_AT_ONCE = 8
_MOST_ROWS = 128


class Engine(base.Engine):
    """A model behind an address."""

    honours = protocol.VLLM

    def __init__(self, facts: Facts, server: Server) -> None:
        self._facts, self._server = facts, server
        if not server.is_vllm:
            self.honours = protocol.PLAIN  # type: ignore[misc]

    @classmethod
    def declared(cls) -> dict[str, Honours]:
        return {"remote: vLLM": protocol.VLLM, "remote: other servers": protocol.PLAIN}

    @classmethod
    def finds(cls, folder: Path) -> bool:
        return bool(os.environ.get(ADDRESS))

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        return cls.at(os.environ.get(ADDRESS, ""), bundle)

    @classmethod
    def at(cls, address: str, bundle: Bundle) -> Engine:
        """The server at an address.

        Raises:
            UsageError: the bundle's model is no decoder, or the server has several models and none was named.
            EngineError: nothing answers there.
        """
        from tunesmith.generation.servers import Server

        facts = Facts.in_folder(bundle.described) if (bundle.described / "config.json").is_file() else None
        if facts is None or facts.has_encoder or not hasattr(bundle.task, "answer"):
            hint = "other engines: pytorch, ctranslate2, onnx"
            raise UsageError("servers of this protocol answer for decoders alone", where=str(bundle.folder), hint=hint)
        return cls(facts, Server.at(address))

    @property
    def facts(self) -> Facts:
        return self._facts

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        hint = "evaluate with the engine pytorch or ctranslate2"
        raise UsageError("the server says nothing of the likelihood of given texts", hint=hint)

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        from tunesmith.generation.admit import Admission

        admission = Admission(self._facts, tokenizer, _MOST_ROWS, f"remote ({self._server})")
        plans = [admission.plan(prompt, request, None) for prompt, request in zip(prompts, requests, strict=True)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._answers, plans))

    def _answers(self, plan: Plan) -> list[Generated]:
        told = self._server.complete({"prompt": list(plan.prompt), **self._parameters(plan)})
        try:
            choices = sorted(told["choices"], key=lambda choice: choice["index"])
            answers = [self._read(plan, choice) for choice in choices]
            if not self._server.is_vllm and len(answers) == 1:
                answers = [replace(answers[0], counted=int(told["usage"]["completion_tokens"]))]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise EngineError(f"the server's answer cannot be read: {error!r}", where=str(self._server)) from None
        if len(answers) != plan.terms.request.n:
            raise EngineError(
                f"{len(answers)} answers where {plan.terms.request.n} were asked for", where=str(self._server)
            )
        return answers

    def _parameters(self, plan: Plan) -> dict[str, Any]:
        if not self._server.is_vllm:
            return protocol.plain(plan)
        # The tokens come only along with log-probabilities.
        return {
            **protocol.of_vllm(plan),
            "logprobs": plan.terms.request.top_logprobs,
            "return_tokens_as_token_ids": True,
        }

    def _read(self, plan: Plan, choice: dict[str, Any]) -> Generated:
        from tunesmith.generation.answers import Generated

        reason = choice["finish_reason"]
        if reason not in ("stop", "length"):
            raise ValueError(f"finish_reason {reason}")
        logprobs = _logprobs(choice["logprobs"], plan.terms.request.top_logprobs) if self._server.is_vllm else ()
        return Generated(
            str(choice["text"]),
            tuple(one.token for one in logprobs),
            reason,
            plan.terms,
            choice.get("stop_reason"),
            logprobs if plan.terms.request.logprobs else (),
            counted=None if self._server.is_vllm else 0,
        )


def _logprobs(told: dict[str, Any], most: int) -> tuple[TokenLogprob, ...]:
    """Each token, by its number, with the likeliest ones at its place."""
    from tunesmith.generation.answers import TokenLogprob

    tops = told.get("top_logprobs") or [{}] * len(told["tokens"])
    found = []
    for name, value, top in zip(told["tokens"], told["token_logprobs"], tops, strict=True):
        pairs = sorted(((_number(one), float(score)) for one, score in (top or {}).items()), key=lambda pair: -pair[1])
        found.append(TokenLogprob(_number(name), float(value), tuple(pairs[:most])))
    return tuple(found)


def _number(name: str) -> int:
    """The number in ``token_id:17``."""
    kind, _, number = name.partition(":")
    if kind != "token_id":
        raise ValueError(f"a token that is no number: {name!r}")
    return int(number)
