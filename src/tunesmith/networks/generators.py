"""Models that write: decoders and encoder-decoders with their head over the vocabulary.

A ``Generator`` is a ``Backbone`` as far as adapters, optimizers and bundles need one; beside it stands what turns its
vectors into logits. Weights are read from safetensors only, and no code of a model is run.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith import quiet
from tunesmith.errors import SourceError, TunesmithError
from tunesmith.networks import pretrained
from tunesmith.networks.backbones import Backbone
from tunesmith.networks.shared import Bases
from tunesmith.text import encode as text

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ':\\n' + message['content'] | trim }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\\n' }}{% endif %}"
)
"""Chat template of a decoder that has none: roles on lines of their own, the end token after each answer."""


def load(
    path: str | Path,
    *,
    hidden_dropout: float | None = None,
    attention_dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
    bases: Bases | None = None,
) -> Generator:
    """Load the decoder or encoder-decoder in a folder, on the CPU, in evaluation mode; arguments as for `backbones.load`.

    Raises:
        SourceError: the folder holds no model that can be read, or one that cannot write.
        UsageError: the model has no dropout of the kind that is to be set.
    """
    path = Path(path)
    options: dict[str, Any] = {"hidden_dropout": hidden_dropout, "attention_dropout": attention_dropout, "dtype": dtype}
    if bases is not None:
        return bases.twin((Generator, path, *options.values()), lambda: load(path, **options))
    try:
        with quiet.transformers():
            model = pretrained.read(path, **options, writes=True)
    except TunesmithError:
        raise
    except Exception as error:  # transformers, safetensors and torch each have their own ways to fail on a bad folder
        raise SourceError(f"no base model can be read in {path}: {quiet.first_line(error)}") from error
    return Generator(model, path).eval()


def load_tokenizer(path: str | Path, base: str | Path | None = None) -> Any:
    """The tokenizer in a folder, ready for the model beside it, or in the folder ``base``.

    It carries two attributes of our own: ``writes_after``, the token that an encoder-decoder's text starts from (None:
    the text's last token, as in mBART), and ``is_decoder``. A decoder without a chat template gets ``PLAIN_TEMPLATE``,
    which is then saved with it.

    Raises:
        SourceError: there is none, or the model beside it cannot write.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base or path, local_files_only=True, trust_remote_code=False)
    is_decoder = pretrained.family(config) == "autoregressive"
    tokenizer = text.load_tokenizer(path, fast=is_decoder)
    tokenizer.is_decoder = is_decoder
    tokenizer.writes_after = getattr(config, "decoder_start_token_id", None)
    if tokenizer.is_decoder and not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_TEMPLATE
    return tokenizer


@dataclass(frozen=True)
class Projection:
    """Logits as an affine map of the last vectors: ``scale * (hidden @ weight.T) + bias``."""

    weight: Tensor
    bias: Tensor | None
    scale: float


class Generator(Backbone):
    """A decoder or encoder-decoder.

    ``model`` is transformers' module with its head, and ``layers`` the blocks in the order in which a token passes
    through them: of an encoder-decoder those of the encoder, then those of the decoder.
    """

    can_split = False
    """Frozen blocks are run anew: gradients stop above them anyway."""

    def __init__(self, model: Any, path: Path) -> None:
        super().__init__(model, path)
        self.is_sentence_encoder = False

    @property
    def is_decoder(self) -> bool:
        """Whether it is a decoder alone, without an encoder."""
        return self.family == "autoregressive"

    @property
    def context(self) -> int | None:
        """Most tokens of a text with its continuation, or of an encoder-decoder's answer; None if there is no limit."""
        return getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)

    @property
    def depth(self) -> int:
        """Number of blocks, of encoder and decoder together."""
        return len(self.layers)

    @functools.cached_property
    def layers(self) -> nn.ModuleList:
        """The blocks, first to last."""
        parts = [self.model.get_decoder()] if self.is_decoder else [self.model.get_encoder(), self.model.get_decoder()]
        return nn.ModuleList(block for part in parts for block in _blocks(part))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **extra: Tensor) -> Tensor:
        """Vectors of the last layer, from which the next token follows.

        Args:
            input_ids: (B, T) of the text that is continued, or (B, S) of the source.
            attention_mask: of the same shape. A decoder whose rows are padded on the right needs none: no token sees
                what comes after it.
            extra: of an encoder-decoder ``decoder_input_ids`` (B, T).

        Returns:
            (B, T, width).
        """
        # The part below the head is called: the whole module would make logits of all positions.
        if not self.is_decoder:
            source = self.model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            extra |= {"encoder_hidden_states": source}
            if attention_mask is not None:
                extra |= {"encoder_attention_mask": attention_mask}
            input_ids, attention_mask = extra.pop("decoder_input_ids"), None
        hidden: Tensor = self.model.get_decoder()(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **extra
        ).last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of vectors (..., width), by the module's own way, whatever it does to them."""
        from transformers.modeling_outputs import BaseModelOutput

        ids = torch.zeros(1, 1, dtype=torch.long, device=hidden.device)
        extra: dict[str, Any] = {"input_ids": ids}
        if not self.is_decoder:
            extra = {"decoder_input_ids": ids, "encoder_outputs": BaseModelOutput(hidden.new_zeros(1, 1, self.width))}
        with _giving(self.model.get_decoder(), hidden.reshape(1, -1, hidden.shape[-1])):
            found: Tensor = self.model(use_cache=False, **extra).logits
        return found.reshape(*hidden.shape[:-1], -1)

    def projection(self) -> Projection | None:
        """The logits as an affine map with the weights as they are now; None where they are not one.

        Models scale their logits (T5, Cohere, Granite), add a bias (BART, Marian) or bend them (Gemma 2). Which it is,
        is found once, by trying.
        """
        head = self.model.get_output_embeddings()
        if not isinstance(head, nn.Linear) or (head.bias is not None and head.bias.requires_grad):
            return None
        if self._affine is None:
            return None
        scale, bias = self._affine
        return Projection(head.weight, None if bias is None else bias.to(head.weight), scale)

    @functools.cached_property
    def _affine(self) -> tuple[float, Tensor | None] | None:
        weight = self.model.get_output_embeddings().weight
        random = torch.Generator().manual_seed(0)
        hidden = torch.randn(4, weight.shape[1], generator=random).to(weight)
        hidden[2:] *= 8  # a bend shows where logits are large
        # Perhaps asked for in the midst of an evaluation; what is found must serve training, and be exact.
        plain = torch.autocast(weight.device.type, enabled=False)
        with torch.inference_mode(False), torch.no_grad(), plain:
            bias = self.logits(torch.zeros_like(hidden[:1]))[0].float()
            product = (hidden @ weight.T).float()
            found = self.logits(hidden).float() - bias
            scale = float((found * product).sum() / product.square().sum().clamp_min(1e-12))
        if not torch.allclose(found, scale * product, rtol=1e-3, atol=1e-3 * float(product.abs().mean() + 1e-6)):
            return None
        return round(scale, 9) if abs(scale - 1) > 1e-5 else 1.0, bias if bool(bias.any()) else None


def _blocks(part: nn.Module) -> nn.ModuleList:
    """The blocks of an encoder or decoder: its longest list of modules of one kind."""
    lists = [module for module in part.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise SourceError(f"no blocks were found in a {type(part).__name__}")
    return next((found for found in lists if len(found) == getattr(part.config, "num_hidden_layers", -1)), lists[0])


@contextmanager
def _giving(module: nn.Module, hidden: Tensor) -> Iterator[None]:
    """Inside, a module gives these vectors whatever it is asked."""
    from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions as Output

    own = vars(module).get("forward")
    module.forward = lambda *args, **kwargs: Output(last_hidden_state=hidden)
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
