"""One base model's weights under several adapters: they are in memory once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from torch import nn

M = TypeVar("M", bound=nn.Module)


class Bases:
    """Base models that were loaded, for adapters that come later."""

    def __init__(self) -> None:
        self._loaded: dict[Hashable, Any] = {}

    def twin(self, key: Hashable, load: Callable[[], M]) -> M:
        """A twin of the module with this key, which is loaded once."""
        if key not in self._loaded:
            self._loaded[key] = load()
        return twin(cast(M, self._loaded[key]))


def twin(module: M) -> M:
    """A module of its own, into which layers may be put, over the same weights."""
    tensors = [*module.parameters(), *module.buffers()]
    made: M = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    return made
