"""Low-rank updates of several adapters in one forward pass: the base model's products are made once for all rows.

The updates that are in use are stacked, so that each layer makes two narrow products for all of them; of the first one a
row keeps only what its own adapter gave. They hang on the model's own layers as hooks, which do nothing but in a pass of
their own thread that names rows.

Shapes: N rows, T tokens of each, I and O inputs and outputs of a layer, K ranks of all stacked updates.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.generation.lora import Lora, refusal

_WIDER = 2
"""A stack that holds more than what is needed serves while it has at most so many times as many ranks."""

Layout = tuple[tuple[int, int], ...]
"""Of stacked ranks, whose they are, as (number of the adapter, how many)."""


class Updates:
    """The low-rank updates that rows of a model may have.

    Args:
        model: of transformers; its layers get hooks, which go when this object does.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._hooked: set[str] = set()
        self._stack = self._single = _stack(())
        self._now = threading.local()

    def fit(self, lora: Lora) -> Lora:
        """The update in the model's own number format, ready for use.

        Raises:
            UsageError: it was made for another model, or not all of its numbers are finite in this format.
        """
        modules = dict(self._model.named_modules())
        made = {}
        for name, (below, above) in lora.layers.items():
            sizes = _sizes(modules.get(name))
            if sizes != (below.shape[1], above.shape[0]):
                found = (
                    "there is no such linear layer" if sizes is None else f"that layer has {sizes[0]} and {sizes[1]}"
                )
                wanted = f"'{name}' with {below.shape[1]} inputs and {above.shape[0]} outputs"
                raise refusal(lora.name, f"it is for {wanted}, but {found} in this model")
            place: Any = {"device": _device(self._model), "dtype": _dtype(self._model)}
            made[name] = (below.to(**place).contiguous(), above.to(**place).contiguous())
            if not all(bool(part.isfinite().all()) for part in made[name]):  # nothing times no number is no number
                raise refusal(lora.name, f"not all of its numbers for '{name}' are finite")
        for name in made.keys() - self._hooked:
            self._hang(name, modules[name])
        return Lora(lora.name, made)

    @contextmanager
    def of(self, rows: Sequence[Lora | None]) -> Iterator[None]:
        """Inside, a forward pass of these rows has each one's update."""
        stack, owners = self.placed(rows)
        if stack is None:
            yield
            return
        given = torch.tensor(owners, device=_device(self._model))
        with self.using(stack, given, is_single=len(stack.loras) == 1 and None not in rows):
            yield

    def placed(self, rows: Sequence[Lora | None]) -> tuple[Stack | None, list[int]]:
        """The updates that rows use, side by side (None: there are none), and of each row the number of its own among them; -1:
        it has none.
        """
        used = tuple(dict.fromkeys(lora for lora in rows if lora is not None))
        if not used:
            return None, [-1] * len(rows)
        stack = self._stacked(used)
        number = {lora: place for place, lora in enumerate(stack.loras)}
        return stack, [-1 if lora is None else number[lora] for lora in rows]

    @contextmanager
    def using(self, stack: Stack, owners: Tensor, *, is_single: bool = False) -> Iterator[None]:
        """Inside, a forward pass has the updates of a stack.

        Args:
            stack: the updates.
            owners: (N,) of each row the number of its own in there, or -1.
            is_single: whether it is the same one for all rows.
        """
        self._now.rows = _Rows(stack, owners, is_single)
        try:
            yield
        finally:
            self._now.rows = None

    def _stacked(self, used: tuple[Lora, ...]) -> Stack:
        """The updates side by side. The last stack of several serves on while it is not much wider than needed."""
        if len(used) == 1:
            if self._single.loras != used:
                self._single = _stack(used)
            return self._single
        ranks = sum(lora.ranks for lora in self._stack.loras)
        if not set(used) <= set(self._stack.loras) or ranks > _WIDER * sum(lora.ranks for lora in used):
            self._stack = _stack(used)
        return self._stack

    def forget(self, lora: Lora) -> None:
        """Let go of an update that is removed; rows that still have it bring it back."""
        if lora in self._stack.loras:
            self._stack = _stack(())
        if lora in self._single.loras:
            self._single = _stack(())

    def _hang(self, name: str, module: nn.Module) -> None:
        self._hooked.add(name)
        own = weakref.ref(self)

        def add(_: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            updates = own()
            rows: _Rows | None = None if updates is None else getattr(updates._now, "rows", None)
            return None if rows is None else rows.add(name, given[0], output)

        weakref.finalize(self, module.register_forward_hook(add).remove)


@dataclass(frozen=True, eq=False)
class Stack:
    """Updates side by side: of each layer A (K, I), B (K, O) and the layout of K; of each layout whose each of the K is, (K,)."""

    loras: tuple[Lora, ...]
    layers: dict[str, tuple[Tensor, Tensor, Layout]]
    owners: dict[Layout, Tensor]


def _stack(loras: tuple[Lora, ...]) -> Stack:
    layers, owners = {}, {}
    for name in dict.fromkeys(name for lora in loras for name in lora.layers):
        having = [(number, lora.layers[name]) for number, lora in enumerate(loras) if name in lora.layers]
        below, above = [pair[0] for _, pair in having], [pair[1].T for _, pair in having]
        layout = tuple((number, len(pair[0])) for number, pair in having)
        if len(having) == 1:
            layers[name] = (below[0], above[0], layout)
        else:
            layers[name] = (torch.cat(below), torch.cat(above), layout)
        if layout not in owners:
            each = [number for number, ranks in layout for _ in range(ranks)]
            owners[layout] = torch.tensor(each, device=below[0].device)
    return Stack(loras, layers, owners)


@dataclass
class _Rows:
    """The rows of a pass: ``owners`` (N,) are numbers of their updates in the stack, -1 of those without."""

    stack: Stack
    owners: Tensor
    is_single: bool
    masks: dict[Layout, Tensor] = field(default_factory=dict)

    def add(self, name: str, x: Tensor, output: Tensor) -> Tensor | None:
        """A layer's output for vectors x (N, T, I), or (N * T, I), with its rows' updates."""
        layer = self.stack.layers.get(name)
        if layer is None:
            return None
        below, above, layout = layer
        narrow = x.reshape(-1, x.shape[-1]) @ below.T
        if not self.is_single:
            if len(narrow) % len(self.owners):
                raise RuntimeError(f"layer '{name}' does not see all rows alike")
            # Filled, not multiplied by 0: another row's numbers may have overflowed.
            narrow.view(len(self.owners), -1, len(below)).masked_fill_(self._others(layout)[:, None], 0)
        flat = output.reshape(-1, output.shape[-1])
        return flat.addmm_(narrow.to(flat.dtype), above.to(flat.dtype)).view(output.shape)

    def _others(self, layout: Layout) -> Tensor:
        """Of each row which ranks are not its own, (N, K)."""
        if layout not in self.masks:
            self.masks[layout] = self.owners[:, None] != self.stack.owners[layout]
        return self.masks[layout]


def _sizes(module: Any) -> tuple[int, int] | None:
    """Inputs and outputs of a linear layer; GPT-2's keep their weights the other way round."""
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return int(module.in_features), int(module.out_features)
    return tuple(module.weight.shape) if type(module).__name__ == "Conv1D" else None


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _dtype(model: nn.Module) -> torch.dtype:
    return next(parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
