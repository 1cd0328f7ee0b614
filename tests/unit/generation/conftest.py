"""Tiny generators and prompts, made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import generators
from generators import Generator


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Generator]:
    """Gives the generator of a family."""
    root, made = tmp_path_factory.mktemp("generators"), {}

    def of(family: str) -> Generator:
        if family not in made:
            made[family] = generators.make(root, family)
        return made[family]

    return of


@pytest.fixture(scope="session")
def prompts() -> list[list[int]]:
    """Forty prompts of 1 to 24 tokens."""
    source = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 25, (40,), generator=source).tolist()
    return [torch.randint(40, 300, (length,), generator=source).tolist() for length in lengths]
