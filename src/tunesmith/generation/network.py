"""One forward pass for all rows: decoders and encoder-decoders of transformers look alike from here.

A row's positions are given explicitly, so that rows of different ages can share a batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from tunesmith.errors import UsageError
from tunesmith.generation import lean
from tunesmith.generation.cache import RowCache
from tunesmith.generation.facts import Facts
from tunesmith.generation.graphs import Graphs
from tunesmith.generation.lora import Lora
from tunesmith.generation.updates import Updates


@dataclass
class State:
    """What the network remembers of its rows.

    own: of the tokens generated from. cross: of the encoder's output, where there is an encoder. source: that output
    (rows, columns, width), until the decoder has read it. loras: the update of each row.
    """

    own: RowCache
    cross: RowCache | None = None
    source: Tensor | None = None
    loras: list[Lora | None] = field(default_factory=list)

    @property
    def caches(self) -> list[RowCache]:
        """Those that there are."""
        return [self.own] if self.cross is None else [self.own, self.cross]

    def move(self, sources: Sequence[int]) -> None:
        """Row i becomes a copy of what row ``sources[i]`` was; rows not named are gone."""
        for cache in self.caches:
            cache.move(sources)
        self.loras = [self.loras[source] for source in sources]
        if self.source is not None:
            self.source = self.source[list(sources)]

    def clean(self, rows: Sequence[int]) -> None:
        """Forget what the network wrote for rows, which may be no numbers."""
        for cache in self.caches:
            cache.clean(rows)

    def join(self, other: State, sources: Sequence[int]) -> None:
        """Append copies of rows of another state."""
        for cache, given in zip(self.caches, other.caches, strict=True):
            cache.join(given, sources)
        self.loras += [other.loras[source] for source in sources]


class Network:
    """A model of transformers that continues rows of tokens.

    Args:
        model: a causal language model or an encoder-decoder with a language modelling head.
        alone: run every row by itself, so that its numbers are the same to the last bit whatever else is in the
            batch: slow, for studies.

    Raises:
        UsageError: if the model cannot be told the positions of its tokens.
    """

    def __init__(self, model: Any, *, alone: bool = False) -> None:
        self.model = model.eval()
        self.updates = Updates(model)
        self.alone = alone
        self.has_encoder = bool(model.config.is_encoder_decoder)
        self._accepts = set(inspect.signature(model.forward).parameters)
        self._lean = None if self.has_encoder else lean.of(model)
        self._graphs = (
            Graphs(self._lean, self.updates) if self._lean is not None and self.device.type == "cuda" else None
        )
        self._remembers = "cache" if "cache" in self._accepts else "past_key_values"  # the name depends on the family
        kinds = set(getattr(model.config, "layer_types", None) or ())
        if not self.has_encoder and "position_ids" not in self._accepts:
            raise UsageError(f"cannot generate in batches with a model of type '{model.config.model_type}'")
        if unknown := kinds - {"full_attention", "sliding_attention"}:
            raise UsageError(f"cannot generate with layers of type {', '.join(sorted(unknown))}")

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.device
        return device

    @property
    def facts(self) -> Facts:
        """What must be known of the model to check a request."""
        return Facts.of_model(self.model)

    def empty(self) -> State:
        """A state without rows."""
        return State(RowCache(), RowCache() if self.has_encoder else None)

    @torch.no_grad()
    def start(
        self,
        prompts: Sequence[Sequence[int]],
        sources: Sequence[Tensor] = (),
        *,
        loras: Sequence[Lora | None] = (),
        unread: int | None = None,
        known: Sequence[Sequence[Tensor]] = (),
    ) -> State:
        """Rows whose prompts are about to be fed.

        Args:
            prompts: of each row.
            sources: of each row what the encoder made of its source text, where there is one.
            loras: of each row its update; none: no row has one.
            unread: the last columns that will be fed; None: all.
            known: of each row the states of its tokens before those, see ``RowCache.begin``.
        """
        own = RowCache([len(prompt) for prompt in prompts])
        if unread is not None:
            own.begin(unread, known)
        rows = list(loras) or [None] * len(prompts)
        if not self.has_encoder:
            return State(own, loras=rows)
        lengths = [len(source) for source in sources]
        # Encoders count positions from the left; in the cache rows end in one column.
        width = max(lengths)
        aligned = [functional.pad(one, (0, 0, width - len(one), 0)) for one in sources]
        return State(own, RowCache(lengths), torch.stack(aligned), rows)

    @torch.no_grad()
    def encode(self, sources: Sequence[Sequence[int]], loras: Sequence[Lora | None]) -> list[Tensor]:
        """What the encoder makes of each source text, (tokens, width)."""
        lengths = torch.tensor([len(source) for source in sources])
        tokens = torch.tensor(_padded(sources, int(lengths.max())), device=self.device)
        mask = (torch.arange(tokens.shape[1])[None, :] < lengths[:, None]).to(self.device)
        with self.updates.of(loras):
            hidden = self.model.get_encoder()(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return [row[:length] for row, length in zip(hidden, lengths.tolist(), strict=True)]

    @torch.no_grad()
    def feed(self, state: State, tokens: Tensor, *, all_logits: bool = False) -> Tensor:
        """Let every row read its next tokens (rows, columns).

        Returns:
            float32 logits (rows, vocabulary) of what follows the last column; ``all_logits``: of what follows each,
            (rows, columns, vocabulary).
        """
        for cache in state.caches:
            cache.reserve(
                tokens.shape[1] if cache is state.own else 0 if state.source is None else state.source.shape[1]
            )
        if self.alone and len(tokens) > 1:
            logits = torch.cat([self._forward_alone(state, tokens, row, all_logits) for row in range(len(tokens))])
        else:
            logits = self._forward_rows(state, tokens, all_logits)
        state.own.advance(tokens.shape[1])
        if state.cross is not None and state.source is not None:
            state.cross.advance(state.source.shape[1])
            state.source = None
        return logits.float() if all_logits else logits[:, -1].float()

    def _forward_alone(self, state: State, tokens: Tensor, row: int, all_logits: bool) -> Tensor:
        with state.own.alone(row), state.cross.alone(row) if state.cross is not None else nullcontext():
            return self._forward_rows(state, tokens[row : row + 1], all_logits)

    def _forward_rows(self, state: State, tokens: Tensor, all_logits: bool) -> Tensor:
        loras = state.loras[state.own.rows]
        if self._graphs is not None and self._is_plain_step(state, tokens):
            return self._graphs(tokens, state.own, loras)
        with self.updates.of(loras):
            return self._forward(state, tokens, all_logits)

    def _forward(self, state: State, tokens: Tensor, all_logits: bool) -> Tensor:
        tokens = tokens.to(self.device)
        positions = state.own.positions(tokens.shape[1]).to(self.device)
        if self._lean is not None:
            return self._lean(tokens, positions, state.own, all_logits=all_logits)
        mask = state.own.mask(tokens.shape[1]).long().to(self.device)
        if state.cross is None:
            few = {"logits_to_keep": 1} if "logits_to_keep" in self._accepts and not all_logits else {}
            given = {"input_ids": tokens, "attention_mask": mask, "position_ids": positions}
            logits: Tensor = self.model(**given, **few, **{self._remembers: state.own}, use_cache=True).logits
            return logits
        caches = EncoderDecoderCache(state.own, state.cross)
        with self._decoder_positions(positions):
            logits = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=self._source(state)),
                attention_mask=state.cross.mask(0 if state.source is None else state.source.shape[1])
                .long()
                .to(self.device),
                decoder_input_ids=tokens,
                decoder_attention_mask=mask,
                **{self._remembers: caches},
                use_cache=True,
            ).logits
        return logits

    def _is_plain_step(self, state: State, tokens: Tensor) -> bool:
        """Whether it is one token of every row, in buffers that there are already."""
        return tokens.shape[1] == 1 and not self.alone and bool(state.own.layers)

    def _source(self, state: State) -> Tensor:
        """The encoder's output; later only its shape is looked at, as its keys and values are in the cache."""
        assert state.cross is not None
        if state.source is not None:
            return state.source[state.cross.rows]
        rows = len(state.cross.starts[state.cross.rows])
        return torch.zeros(1, 1, 1, dtype=self.model.dtype, device=self.device).expand(
            rows, state.cross.width, self.model.config.hidden_size
        )

    @contextmanager
    def _decoder_positions(self, positions: Tensor) -> Iterator[None]:
        """Let a decoder that counts columns embed these positions instead."""
        table = getattr(self.model.get_decoder(), "embed_positions", None)
        if table is None:
            yield
            return
        weight: Tensor = table.weight if hasattr(table, "weight") else table.weights
        embedded = weight[positions + getattr(table, "offset", 0)]
        hook = table.register_forward_hook(lambda *_: embedded)
        try:
            yield
        finally:
            hook.remove()


def left_padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Tokens (rows, columns) that end in one column; what stands before a row's first token is never looked at.

    >>> left_padded([[1, 2], [3]]).tolist()
    [[1, 2], [0, 3]]
    """
    width = max(map(len, rows))
    return torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])


def _padded(rows: Sequence[Sequence[int]], width: int) -> list[list[int]]:
    return [[*row, *[0] * (width - len(row))] for row in rows]
