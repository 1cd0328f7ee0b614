"""Tiny generators, made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import generators
from generators import Generator


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Generator]:
    """Gives the generator of a family, whose answers end by one token."""
    root, made = tmp_path_factory.mktemp("generators"), {}

    def of(family: str) -> Generator:
        if family not in made:
            made[family] = generators.make(root, family)
            made[family].model.generation_config.eos_token_id = 20
        return made[family]

    return of


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    """Twenty prompts of 2 to 20 tokens, each with its first token once more in it."""
    source = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 20, (20,), generator=source).tolist()
    found = [torch.randint(40, 300, (length,), generator=source).tolist() for length in lengths]
    return [[*prompt, prompt[0]] for prompt in found]
