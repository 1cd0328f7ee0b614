"""Layers that keep their weights the other way round, (in, out), as plain linear layers over the same numbers; and back."""

from __future__ import annotations

from typing import Any

from torch import nn


def turned(model: nn.Module) -> list[str]:
    """Put plain linear layers in place of a model's turned ones (``Conv1D``); returns their names, for ``turn_back``.

    The weights are views of those that were there.
    """
    from transformers.pytorch_utils import Conv1D

    names = [name for name, module in model.named_modules() if isinstance(module, Conv1D)]
    for name in names:
        old: Any = model.get_submodule(name)
        new = nn.Linear(old.nx, old.nf, device="meta")
        new.weight = nn.Parameter(old.weight.detach().T, requires_grad=False)
        new.bias = old.bias
        _replace(model, name, new)
    return names


def turn_back(model: nn.Module, names: list[str]) -> None:
    """Make the layers again what they were, with the weights that they now have."""
    from transformers.pytorch_utils import Conv1D

    for name in names:
        old: Any = model.get_submodule(name)
        new = Conv1D(old.out_features, old.in_features)
        new.weight = nn.Parameter(old.weight.detach().T.contiguous(), requires_grad=False)
        new.bias = old.bias
        _replace(model, name, new)


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
