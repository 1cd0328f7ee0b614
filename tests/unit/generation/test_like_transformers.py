"""Two hundred prompts of four families: greedy and beam answers are those of transformers' ``generate``.

Where tokens differ, both answers must have the same score to float32's rounding, which is how ties are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from generators import ENDS, Generator
from tunesmith.generation.decode import generate
from tunesmith.generation.request import GenerationRequest as Request

Prompts = list[list[int]]
MAX_TOKENS, COUNT = 16, 200
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    {"num_beams": 3},
    {"num_beams": 4, "length_penalty": 0.0, "early_stopping": True},
    {"num_beams": 2, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 5, "length_penalty": -1.0, "no_repeat_ngram_size": 3},
    {"num_beams": 3, "repetition_penalty": 1.5, "early_stopping": True},
)


@pytest.fixture(scope="module")
def many() -> Prompts:
    """Prompts of 1 to 40 tokens."""
    source = torch.Generator().manual_seed(2)
    lengths = torch.randint(1, 41, (COUNT,), generator=source).tolist()
    return [torch.randint(40, 300, (length,), generator=source).tolist() for length in lengths]


def until_end(tokens: Sequence[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in ENDS]
    return list(tokens[: ends[0] + 1] if ends else tokens)


def theirs(made: Generator, prompts: Prompts, options: dict[str, Any]) -> list[list[int]]:
    """What ``generate`` gives for prompts of one batch, on the side on which the family is padded."""
    width, two_sided = max(map(len, prompts)), made.model.config.is_encoder_decoder
    rows, mask = torch.zeros(len(prompts), width, dtype=torch.long), torch.zeros(len(prompts), width, dtype=torch.long)
    for number, prompt in enumerate(prompts):
        place = slice(0, len(prompt)) if two_sided else slice(width - len(prompt), width)
        rows[number, place], mask[number, place] = torch.tensor(prompt), 1
    found = made.model.generate(rows, attention_mask=mask, do_sample=False, max_new_tokens=MAX_TOKENS, **options)
    return [until_end(row) for row in found[:, 1 if two_sided else width :].tolist()]


@torch.no_grad()
def score(made: Generator, prompt: list[int], tokens: list[int], options: dict[str, Any]) -> float:
    """How a search ranks an answer; without penalties, with which it has no simple form."""
    if made.model.config.is_encoder_decoder:
        start = made.model.config.decoder_start_token_id
        logits = made.model(torch.tensor([prompt]), decoder_input_ids=torch.tensor([[start, *tokens[:-1]]])).logits[0]
    else:
        logits = made.model(torch.tensor([[*prompt, *tokens[:-1]]])).logits[0, len(prompt) - 1 :]
    log_p = logits.log_softmax(1)[torch.arange(len(tokens)), torch.tensor(tokens)]
    if "num_beams" not in options:  # of a greedy answer the first token at which they part decides
        return float(log_p[0])
    return float(log_p.sum()) / len(tokens) ** options.get("length_penalty", 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart"])
def test_two_hundred_prompts_are_answered_alike(
    generator: Callable[[str], Generator], many: Prompts, family: str, record_property: Callable[[str, object], None]
) -> None:
    made = generator(family)
    own = [dict(CHOICES[number % len(CHOICES)]) for number in range(COUNT)]
    requests = [Request(max_tokens=MAX_TOKENS, **options) for options in own]
    answers = [list(answer.tokens) for (answer,) in generate(*made, many, requests, max_rows=16, prefill_tokens=256)]
    expected: dict[int, list[int]] = {}
    for kind, options in enumerate(CHOICES):
        numbers = range(kind, COUNT, len(CHOICES))
        expected |= zip(numbers, theirs(made, [many[number] for number in numbers], options), strict=True)
    differ = [number for number in range(COUNT) if until_end(answers[number]) != expected[number]]
    record_property("equal", COUNT - len(differ))
    print(f"{family}: {COUNT - len(differ)} of {COUNT} answers equal")
    assert len(differ) <= COUNT // 100
    for number in differ:
        found, wanted, options = until_end(answers[number]), expected[number], own[number]
        if "num_beams" not in options:
            parted = next(place for place, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b)
            prompt = [*many[number], *found[:parted]]
            found, wanted = found[parted:], wanted[parted:]
        else:
            prompt = many[number]
        if not {"repetition_penalty", "no_repeat_ngram_size"} & options.keys():
            assert score(made, prompt, found, options) == pytest.approx(score(made, prompt, wanted, options), abs=1e-4)
    assert len({tuple(tokens) for tokens in answers}) > 50  # a model that always says the same would prove nothing
