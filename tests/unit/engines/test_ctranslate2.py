"""CTranslate2 gives the answers of the engine here, token by token, for what it says it honours; the rest it refuses."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators import Generator
from tunesmith.engines.ctranslate2 import FACTS, HONOURS, Engine
from tunesmith.errors import UsageError
from tunesmith.exports.ctranslate2 import convert
from tunesmith.generation.decode import generate
from tunesmith.generation.facts import Facts
from tunesmith.generation.honours import DEFAULTS
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest as Request

FAMILIES = ("llama", "gpt2", "t5", "bart", "marian")
DECODERS = ("llama", "gpt2")
pytest.importorskip("ctranslate2")


@pytest.fixture(scope="session")
def converted(generator: Callable[[str], Generator], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    """Gives the engine of a family, in 32 bits."""
    root, made = tmp_path_factory.mktemp("converted"), {}

    def of(family: str) -> Engine:
        if family not in made:
            own = generator(family)
            folder = root / family
            convert(copy.deepcopy(own.model), own.tokenizer, Network(own.model).facts, folder, "float32")
            made[family] = Engine(folder)
        return made[family]

    return of


def told(answers: list[list[Any]]) -> list[Any]:
    return [[(one.tokens, one.text, one.finish_reason, one.stopped_by) for one in choices] for choices in answers]


EVERYWHERE: list[dict[str, Any]] = [
    {},
    {"min_tokens": 4},
    {"ignore_eos": True},
    {"stop_token_ids": (60, 123, 264)},
    {"stop": ("a", "e")},
    {"num_beams": 3, "n": 3, "early_stopping": True},
    {"num_beams": 4, "n": 2, "early_stopping": True, "length_penalty": 0.5},
    {"num_beams": 2, "early_stopping": True, "length_penalty": 0.0},
    {"top_k": 5, "temperature": 0.0},
]
OF_DECODERS: list[dict[str, Any]] = [
    {"repetition_penalty": 1.4},
    {"no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "stop": ("a", "e"), "min_tokens": 3},
]


@pytest.mark.parametrize("options", EVERYWHERE, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_its_answers_are_those_of_the_engine_here(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], prompts: list[list[int]], family: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    own, request = generator(family), Request(max_tokens=10, **options)
    found = converted(family).generate(prompts, [request] * len(prompts), own.tokenizer)
    assert told(found) == told(generate(*own, prompts, request))
    assert found[0][0].terms.engine == "ctranslate2"


@pytest.mark.parametrize("options", OF_DECODERS, ids=str)
@pytest.mark.parametrize("family", DECODERS)
def test_what_may_not_be_repeated_is_the_prompt_too(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], prompts: list[list[int]], family: str,
    options: dict[str, Any],
) -> None:  # fmt: skip
    own, request = generator(family), Request(max_tokens=10, **options)
    found = converted(family).generate(prompts, [request] * len(prompts), own.tokenizer)
    assert told(found) == told(generate(*own, prompts, request))


def test_requests_of_all_kinds_are_answered_together(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], prompts: list[list[int]]
) -> None:
    own = generator("llama")
    requests = [Request(max_tokens=3 + number, **options) for number, options in enumerate(EVERYWHERE + OF_DECODERS)]
    some = [*prompts[: len(requests) - 1], [50]]
    requests[-1] = Request(max_tokens=4)
    found = converted("llama").generate(some, requests, own.tokenizer)
    assert told(found) == told(generate(*own, some, requests))


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_the_models_own(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], prompts: list[list[int]], family: str
) -> None:
    own = generator(family)
    request = Request(max_tokens=5, min_tokens=5, logprobs=True, top_logprobs=3)
    found = converted(family).generate(prompts[:4], [request] * 4, own.tokenizer)
    for theirs, here in zip(found, generate(*own, prompts[:4], request), strict=True):
        for one, mine in zip(theirs[0].logprobs, here[0].logprobs, strict=True):
            assert one.token == mine.token
            assert one.logprob == pytest.approx(mine.logprob, abs=1e-4)
            assert [token for token, _ in one.top] == [token for token, _ in mine.top]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.6, "top_k": 4},
        {"temperature": 2.0, "top_k": 4, "sampler_order": ("top_k", "temperature")},
        {"temperature": 1.0, "top_p": 0.5},
        {"temperature": 0.5, "top_k": 8, "top_p": 0.8},
        {"temperature": 2.0, "top_k": 8, "top_p": 0.6},
        {"temperature": 1.5, "top_k": 8, "min_tokens": 1, "ignore_eos": False},
    ],
    ids=str,
)
def test_it_draws_from_the_same_probabilities(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], options: dict[str, Any]
) -> None:
    from tunesmith.generation import sampler

    own, prompt, draws = generator("llama"), [50, 60, 70], 3000
    request = Request(**{"max_tokens": 1, "n": 100, "ignore_eos": True, **options})
    found = converted("llama").generate([prompt] * (draws // 100), [request] * (draws // 100), own.tokenizer)
    counts = Counter(one.tokens[0] for choices in found for one in choices)
    with torch.no_grad():
        logits = own.model(torch.tensor([prompt])).logits[:, -1].float()
    p = (
        sampler.process(logits, [sampler.Row(request, prompt, vocabulary=sampler.Vocabulary(frozenset({20})))])
        .softmax(1)[0]
        .numpy()
    )
    assert set(counts) <= set(np.flatnonzero(p).tolist())
    shares = np.array([counts[token] / draws for token in range(len(p))])
    assert np.abs(shares - p).max() < 5 * 0.5 / draws**0.5


EXAMPLES: dict[str, Any] = {
    "min_p": 0.1, "typical_p": 0.5, "top_n_sigma": 1.0, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "xtc_probability": 0.5,
    "xtc_threshold": 0.2, "dry_multiplier": 1.0, "dry_base": 2.0, "dry_allowed_length": 3, "dry_sequence_breakers": ("a",),
    "frequency_penalty": 0.5, "presence_penalty": 0.5, "logit_bias": {50: 1.0}, "bad_words": ("a",),
    "allowed_token_ids": (50,), "best_of": 2, "logprobs_of": "processed", "echo": True, "response_format": {"type": "json_object"},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(DEFAULTS) - set(HONOURS)))
def test_what_it_does_not_know_is_refused(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], name: str
) -> None:
    with pytest.raises(UsageError, match="ctranslate2 cannot honour") as caught:
        converted("llama").generate([[50]], [Request(**{name: EXAMPLES[name]})], generator("llama").tokenizer)
    (problem,) = [one for one in caught.value.problems if one.where == name]
    assert "pytorch" in str(problem.hint)


@pytest.mark.parametrize(
    ("family", "prompt", "options", "names"),
    [
        ("llama", [50, 50], {"temperature": 0.7, "top_p": 0.9, "sampler_order": ("top_p", "temperature")}, {"temperature", "top_p", "sampler_order"}),
        ("llama", [50, 50], {"top_k": 5, "temperature": 2.0, "repetition_penalty": 1.2, "sampler_order": ("top_k", "repetition_penalty")}, {"top_k", "sampler_order", "temperature"}),
        ("llama", [50, 60], {"repetition_penalty": 1.2}, {"repetition_penalty"}),
        ("t5", [50, 50], {"repetition_penalty": 1.2, "no_repeat_ngram_size": 2}, {"repetition_penalty", "no_repeat_ngram_size"}),
        ("llama", [50, 50], {"num_beams": 2}, {"num_beams"}),
        ("llama", [50, 50], {"num_beams": 2, "early_stopping": "never"}, {"num_beams", "early_stopping"}),
        ("llama", [50, 50], {"num_beams": 2, "early_stopping": True, "stop_token_ids": (60,)}, {"num_beams"}),
        ("llama", [50, 50], {"num_beams": 2, "early_stopping": True, "min_tokens": 2, "stop": ("a",)}, {"min_tokens", "stop"}),
        ("llama", [50, 50], {"num_beams": 4, "n": 2, "early_stopping": True, "length_penalty": 0.0}, {"length_penalty"}),
        ("llama", [50, 50], {"temperature": 1.0, "seed": 3}, {"seed"}),
    ],
)  # fmt: skip
def test_what_it_would_do_otherwise_is_refused(
    generator: Callable[[str], Generator], converted: Callable[[str], Engine], family: str, prompt: list[int],
    options: dict[str, Any], names: set[str],
) -> None:  # fmt: skip
    with pytest.raises(UsageError, match="honoured only") as caught:
        converted(family).generate([prompt], [Request(max_tokens=4, **options)], generator(family).tokenizer)
    assert {problem.where for problem in caught.value.problems} == names


def test_facts_come_back_as_they_were(converted: Callable[[str], Engine]) -> None:
    engine = converted("bart")
    assert Facts.from_json(json.loads(json.dumps(engine.facts.to_json()))) == engine.facts
    assert FACTS == "facts.json"


def test_a_family_that_it_does_not_know_is_told(tmp_path: Path) -> None:
    import tiny_generators
    from tunesmith.networks import generators as networks

    folder = tiny_generators.write(tmp_path / "cohere", "cohere")
    model, tokenizer = networks.load(folder).model, networks.load_tokenizer(folder)
    with pytest.raises(UsageError, match="CTranslate2 has no form"):
        convert(model, tokenizer, Network(model).facts, tmp_path / "out", "float32")
