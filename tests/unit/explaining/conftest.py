"""A tiny generator with fifty prompts, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import generators
from generators import Generator
from tunesmith.explaining.curves import Asking
from tunesmith.explaining.paths import Path
from tunesmith.generation.admit import Admission
from tunesmith.generation.decode import generate
from tunesmith.generation.network import Network
from tunesmith.generation.request import GenerationRequest

PROMPTS, SHARPER = 50, 4.0


class Known:
    """Logits of paths that a model without a bundle gives, sharpened: a random model says nearly the same everywhere."""

    def __init__(self, made: Generator, paths: list[Path]) -> None:
        network, self._found = Network(made.model, alone=True), {}
        for path in paths:
            state = network.start([path.prompt])
            everything = torch.tensor([[*path.prompt, *path.output[:-1]]])
            logits = network.feed(state, everything, all_logits=True)[0]
            self._found[path] = logits[len(path.prompt) - 1 :].float() * SHARPER

    def along(self, path: Path) -> torch.Tensor:
        return self._found[path]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return generators.make(tmp_path_factory.mktemp("generator"), "llama")


@pytest.fixture(scope="session")
def paths(made: Generator) -> list[Path]:
    """Fifty prompts, each with a drawn answer of a few tokens, in some of which tokens come again."""
    source = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, 12, (PROMPTS,), generator=source).tolist()
    prompts = [torch.randint(40, 90, (length,), generator=source).tolist() for length in lengths]
    request = GenerationRequest(max_tokens=6, temperature=0.7, seed=3, ignore_eos=True)
    answers = generate(made.model, made.tokenizer, prompts, request)
    return [
        Path(number, (), tuple(prompt), tuple(answer.tokens))
        for number, (prompt, (answer,)) in enumerate(zip(prompts, answers, strict=True))
    ]


@pytest.fixture(scope="session")
def logits(made: Generator, paths: list[Path]) -> Any:
    return Known(made, paths)


@pytest.fixture(scope="session")
def asking(made: Generator) -> Callable[..., Asking]:
    def of(name: str, *values: Any, **held: Any) -> Asking:
        admission = Admission(Network(made.model).facts, made.tokenizer, 16)
        return Asking(name, values, held, admission, made.tokenizer)

    return of
