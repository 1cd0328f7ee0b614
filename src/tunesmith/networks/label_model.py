"""Classification by writing: the label whose name an encoder-decoder is most likely to write.

After Raffel et al. 2020 ("Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer"), with two
differences: all names are weighed against one another, so that probabilities come out and nothing else can be written,
and what is learned is the right name's probability among them.

Shapes: B texts, S tokens of a text, W width, O labels, L tokens of a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tunesmith.errors import UsageError
from tunesmith.networks.generators import Generator
from tunesmith.networks.language_model import LanguageModel
from tunesmith.outputs import IGNORED
from tunesmith.text import encode as text

_MOST_ROWS = 512
"""Pairs of a text and a name that are read at once."""


class LabelModel(LanguageModel):
    """An encoder-decoder that weighs names.

    Args:
        backbone: the encoder-decoder.
        names: token ids (O, L) of the labels' names with their end tokens, ``heads.IGNORED`` after them.
    """

    names: Tensor

    def __init__(self, backbone: Generator, names: Tensor) -> None:
        super().__init__(backbone)
        self.register_buffer("names", names, persistent=False)

    @classmethod
    def of(cls, backbone: Generator, labels: Sequence[str], *, depth: int = 0) -> LabelModel:
        """A model for labels, whose names are written with the tokenizer beside the base model.

        Raises:
            UsageError: the base model has no decoder beside its encoder, or the adapter leaves nothing to train.
        """
        if backbone.is_decoder:
            hint = "take a T5- or BART-like base model, or --task.classify_by head"
            raise UsageError(
                "labels are written by encoder-decoders, and this is a decoder", where="task.classify_by", hint=hint
            )
        if depth == backbone.depth:
            hint = "take adapter.name full, lora or freeze, with fewer train_layers than there are"
            raise UsageError("a model that writes has no head of its own to train alone", hint=hint)
        tokenizer = text.load_tokenizer(backbone.path)
        written = [tokenizer(text_target=label)["input_ids"] for label in labels]
        names = torch.full((len(written), max(map(len, written))), IGNORED)
        for row, ids in zip(names, written, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        return cls(backbone, names)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Log-likelihood (B, O) in nats of each name, given ``input_ids`` and ``attention_mask`` (B, S)."""
        mask = inputs.get("attention_mask")
        source = self.backbone.model.get_encoder()(input_ids=inputs["input_ids"], attention_mask=mask).last_hidden_state
        some = max(1, _MOST_ROWS // len(source))
        return torch.cat([self._weighed(source, mask, names) for names in torch.split(self.names, some)], dim=1)

    def _weighed(self, source: Tensor, mask: Tensor | None, names: Tensor) -> Tensor:
        """The same for some names, (B, their number); the decoder reads each text with each of them."""
        texts, count = len(source), len(names)
        labels = names.repeat(texts, 1)
        start = self.backbone.model.config.decoder_start_token_id
        before = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1).clamp_min(0)
        hidden = self.backbone.model.get_decoder()(
            input_ids=before,
            encoder_hidden_states=source.repeat_interleave(count, 0),
            encoder_attention_mask=None if mask is None else mask.repeat_interleave(count, 0),
            use_cache=False,
        ).last_hidden_state
        rows, places = (labels != IGNORED).nonzero(as_tuple=True)
        losses = self.token_losses(hidden[rows, places], labels[rows, places])
        return -losses.new_zeros(len(labels)).index_add(0, rows, losses).view(texts, count)
