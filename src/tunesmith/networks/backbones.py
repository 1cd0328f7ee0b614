"""Base models without a head: token ids go in, one vector a token comes out.

Any model that transformers knows will do: autoencoding (BERT ...), autoregressive (GPT, Llama ...), or the
encoder of an encoder-decoder (T5, BART, Marian ...). Weights are read from safetensors only, and no code of a model is run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from tunesmith import quiet
from tunesmith.errors import SourceError, TunesmithError, UsageError
from tunesmith.networks import pretrained
from tunesmith.networks.pretrained import Family, Pooling
from tunesmith.networks.shared import Bases


def load(
    path: str | Path,
    *,
    hidden_dropout: float | None = None,
    attention_dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
    bases: Bases | None = None,
) -> Backbone:
    """Load the base model in a folder, on the CPU, in evaluation mode.

    Args:
        path: folder with ``config.json`` and safetensors weights, as `sources.resolve` gives it.
        hidden_dropout: dropout of embeddings and blocks, from 0 to below 1; None leaves the model's own.
        attention_dropout: dropout of attention weights, from 0 to below 1; None leaves the model's own.
        dtype: number format of the weights.
        bases: base models that its weights are shared with, if they are in there; None: it has its own.

    Raises:
        SourceError: the folder holds no model that can be read, or weights are missing from it.
        UsageError: the model has no dropout of the kind that is to be set.
    """
    path = Path(path)
    options: dict[str, Any] = {"hidden_dropout": hidden_dropout, "attention_dropout": attention_dropout, "dtype": dtype}
    if bases is not None:
        return bases.twin((Backbone, path, *options.values()), lambda: load(path, **options))
    try:
        with quiet.transformers():
            model = pretrained.read(path, **options)
    except TunesmithError:
        raise
    except Exception as error:  # transformers, safetensors and torch each have their own ways to fail on a bad folder
        raise SourceError(f"no base model can be read in {path}: {quiet.first_line(error)}") from error
    return Backbone(model, path).eval()


@dataclass(frozen=True)
class Counts:
    """Weights that train, and all there are, those of an adapter included."""

    trained: int
    all: int

    def __str__(self) -> str:
        return f"{self.trained:,} of {self.all:,} weights ({self.trained / self.all:.2%})"


class Backbone(nn.Module):
    """A base model without a head.

    Attributes:
        model: the transformers module; ``model.save_pretrained`` saves it, ``model.config`` describes it.
        family: how it was pretrained.
        pooling: how its token vectors become one vector for the text, as it was trained.
        max_length: most tokens that it takes, special ones included; None if there is no limit.
        is_sentence_encoder: whether it was trained to encode whole texts (it lies in sentence-transformers' layout).
        path: the folder that it was read from.
        lent: whether an adapter took a part of its weights into itself, so that without the adapter it is another model.
    """

    lent = False

    def __init__(self, model: Any, path: Path) -> None:
        super().__init__()
        self.model = model
        self.path = path
        self.family: Family = pretrained.family(model.config)
        self.pooling: Pooling = pretrained.pooling(path, model.config)
        self.max_length = pretrained.max_length(path, model)
        self.is_sentence_encoder = pretrained.is_sentence_encoder(path)
        self._tried_splits: dict[int, bool] = {}

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all weights train, or none; positions that are computed (Marian's sinusoids) never do: they are not saved."""
        super().requires_grad_(requires_grad)
        for module in self.modules():
            if "Sinusoidal" in type(module).__name__:
                module.requires_grad_(False)
        return self

    @property
    def weight_counts(self) -> Counts:
        """How many weights train, of how many."""
        weights = list(self.model.parameters())
        trained = sum(weight.numel() for weight in weights if weight.requires_grad)
        return Counts(trained, sum(weight.numel() for weight in weights))

    @property
    def width(self) -> int:
        """Size of a token's vector."""
        return int(self.model.config.hidden_size)

    @property
    def depth(self) -> int:
        """Number of blocks that a token passes through."""
        return int(self.model.config.num_hidden_layers)

    @functools.cached_property
    def layers(self) -> nn.ModuleList:
        """The blocks, first to last. A model that uses a block many times (ALBERT) has fewer of them than ``depth``."""
        lists = [module for module in self.model.modules() if isinstance(module, nn.ModuleList)]
        if not lists:
            raise SourceError(f"no blocks were found in a model of type '{self.model.config.model_type}'")
        return next((found for found in lists if len(found) == self.depth), max(lists, key=len))

    @property
    def embeddings(self) -> nn.Module:
        """The token embeddings."""
        module: nn.Module = self.model.get_input_embeddings()
        return module

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None, **extra: Tensor) -> Tensor:
        """Token vectors of the last layer.

        Args:
            input_ids: (B, T).
            attention_mask: (B, T), 1 for tokens and 0 for padding.
            extra: whatever else the tokenizer makes (``token_type_ids``).

        Returns:
            (B, T, width).
        """
        hidden: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **extra).last_hidden_state
        return hidden

    def lower(self, batch: Mapping[str, Any], depth: int) -> Tensor:
        """Hidden states after the first ``depth`` blocks, without dropout and gradient, so that they can be kept.

        Args:
            batch: what ``forward`` takes.
            depth: 0 (the embeddings alone) to ``self.depth``.

        Returns:
            (B, T, width).

        Raises:
            UsageError: the model cannot be split, or not there.
        """
        self._check_split(depth)
        with _evaluating(self), torch.no_grad():
            return self._lower(batch, depth)

    def upper(self, hidden: Tensor, attention_mask: Tensor | None, depth: int, **extra: Tensor) -> Tensor:
        """Token vectors of the last layer, from the hidden states that ``lower`` gave for the same ``depth``.

        Blocks below ``depth`` are not run; gradients reach those above, and ``hidden``.
        Not thread-safe: it swaps methods of blocks while it runs.

        Args:
            hidden: (B, T, width).
            attention_mask: (B, T).
            depth: as for ``lower``.
            extra: the rest of the batch, without ``input_ids``.

        Returns:
            (B, T, width).

        Raises:
            UsageError: the model cannot be split, or not there.
        """
        self._check_split(depth)
        return self._upper(hidden, attention_mask, depth, **extra)

    @property
    def can_split(self) -> bool:
        """Whether ``upper(lower(batch))`` is the whole model: found by trying it, once, on three tokens.

        It is not where a block hands on more than hidden states (T5's position bias) or is used many times (ALBERT).
        """
        return self._splits_at((self.depth + 1) // 2)

    def _check_split(self, depth: int) -> None:
        if not 0 <= depth <= self.depth:
            raise UsageError(f"depth = {depth}: the model has {self.depth} blocks", hint=f"legal: 0 to {self.depth}")
        if not self._splits_at(depth):
            raise UsageError(f"a model of type '{self.model.config.model_type}' cannot be run from block {depth} on")

    def _splits_at(self, depth: int) -> bool:
        if depth not in self._tried_splits:
            self._tried_splits[depth] = len(self.layers) == self.depth and self._try_split(depth)
        return self._tried_splits[depth]

    def _try_split(self, depth: int) -> bool:
        ids = self._probe_ids
        mask = torch.ones_like(ids)
        with _evaluating(self), torch.no_grad():
            whole = self(ids, mask)
            try:
                split = self._upper(self._lower({"input_ids": ids, "attention_mask": mask}, depth), mask, depth)
            except (TypeError, ValueError, IndexError, AttributeError, RuntimeError):
                return False
        return split.shape == whole.shape and torch.allclose(split, whole, atol=1e-4, rtol=1e-3)

    def _lower(self, batch: Mapping[str, Any], depth: int) -> Tensor:
        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            raise _Reached(output[0] if isinstance(output, tuple) else output)

        if depth < self.depth:
            hook = self.layers[depth].register_forward_pre_hook(before, with_kwargs=True)
        else:
            hook = self.layers[-1].register_forward_hook(after)
        try:
            self(**batch)
        except _Reached as reached:
            return reached.hidden
        finally:
            hook.remove()
        raise RuntimeError(f"block {depth} was not run")

    def _upper(self, hidden: Tensor, attention_mask: Tensor | None, depth: int, **extra: Tensor) -> Tensor:
        def substitute(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        def skip(*args: Any, **kwargs: Any) -> Any:
            return (hidden, *rest) if rest is not None else hidden

        # The model's own forward makes masks and positions, so it runs whole: on ids that do not matter, past blocks that do nothing.
        rest = self._rest_of_output
        ids = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
        entry = self.layers[depth] if depth < self.depth else nn.Identity()
        hook = entry.register_forward_pre_hook(substitute, with_kwargs=True)
        try:
            with _forwards(self.layers[:depth], skip):
                return self.forward(ids, attention_mask, **extra)
        finally:
            hook.remove()

    @functools.cached_property
    def _rest_of_output(self) -> tuple[None, ...] | None:
        """Blanks for what a block returns beside hidden states; None if it returns these alone, not in a tuple."""
        found: list[tuple[None, ...] | None] = []

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            found.append((None,) * (len(output) - 1) if isinstance(output, tuple) else None)

        hook = self.layers[0].register_forward_hook(after)
        try:
            with _evaluating(self), torch.no_grad():
                self(self._probe_ids, torch.ones_like(self._probe_ids))
        finally:
            hook.remove()
        return found[0]

    @property
    def _probe_ids(self) -> Tensor:
        table: Any = self.embeddings
        ids: Tensor = torch.arange(3, 6, device=table.weight.device)[None] % table.num_embeddings
        return ids


class _Reached(Exception):  # noqa: N818 - no error
    """Ends a forward pass at the block where it was to end."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each submodule has its own mode again."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _forwards(modules: Iterable[nn.Module], forward: Callable[..., Any]) -> Iterator[None]:
    """Gives modules another ``forward`` inside."""
    before = [(module, vars(module).get("forward")) for module in modules]
    for module, _ in before:
        module.forward = forward
    try:
        yield
    finally:
        for module, own in before:
            if own is None:
                del module.forward
            else:
                module.forward = own  # one that a library had put there
