"""Parts of our own inside a base model: they hang on its modules, and are saved and put back without it.

A part is a submodule of the module whose input or output it changes, and works through a hook. So the base model's own
weights keep their names, and a deep copy of the model has parts of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from tunesmith.errors import BundleError

FILE = "adapter.safetensors"


def hang(module: nn.Module, name: str, part: nn.Module, after: Callable[..., Any] | None = None) -> None:
    """Make a part a submodule of a module; ``after`` (module, inputs, output) gives what the module then gives.

    Args:
        module: of the base model.
        name: of the part in it.
        part: with the weights that train.
        after: a function that finds the part in the module it is given, and holds nothing of its own.
    """
    part.train(module.training)
    module.add_module(name, part)
    if after is not None:
        module.register_forward_hook(after)


def save(model: nn.Module, folder: Path) -> None:
    """Write the trained weights of a base model, by their names in it."""
    from safetensors.torch import save_file

    trained = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    save_file({name: weight.contiguous() for name, weight in trained.items()}, folder / FILE, {"format": "pt"})


def restore(model: nn.Module, folder: Path) -> None:
    """Give a base model with its parts the saved weights; it gets new tensors, and none that it has is written to.

    Raises:
        BundleError: the weights are not those of these parts.
    """
    from safetensors.torch import load_file

    saved = load_file(folder / FILE)
    own = {name: weight.shape for name, weight in model.named_parameters()}
    wrong = [name for name, weight in saved.items() if own.get(name) != weight.shape]
    if wrong:
        raise BundleError(f"the adapter does not fit its base model: {wrong[0]}", where=str(folder))
    for name, weight in saved.items():
        place, _, last = name.rpartition(".")
        model.get_submodule(place).register_parameter(last, nn.Parameter(weight, requires_grad=False))
