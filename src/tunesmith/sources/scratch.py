"""Models from nothing: a fresh network and a tokenizer made from the run's own texts.

    scratch://t5?layers=4&width=256&heads=4&vocabulary=8000

Families are t5, bart and marian (encoder-decoders), gpt2 and llama (decoders). The tokenizer is byte-level BPE (Sennrich et
al. 2016; Radford et al. 2019): it knows no language and writes any text. The same reference and texts give the same
files. (A unigram tokenizer does not: the library's trainer gives other pieces from run to run.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tunesmith import params, quiet
from tunesmith.errors import SourceError, UsageError, did_you_mean
from tunesmith.params import param
from tunesmith.sources import cache

SCHEME = "scratch://"
_MOST_TEXTS = 500_000


class Shape(params.Params):
    """What may follow ``?`` in a reference."""

    layers: int = param(4, "Blocks of the decoder, and of the encoder.", ge=1)
    width: int = param(256, "Size of a token's vector.", ge=8)
    heads: int = param(4, "Attention heads; they share the width.", ge=1)
    inner: int | None = param(None, "Width inside the feed-forward layers; none: four times the width.", ge=8)
    vocabulary: int = param(8000, "Pieces of the tokenizer.", ge=300)
    positions: int = param(512, "Most tokens of a text.", ge=8)
    dropout: float = param(0.1, "Dropout of the blocks; llama has none.", ge=0, lt=1)
    seed: int = param(0, "Of the first weights.", ge=0)


def is_scratch(reference: str | None) -> bool:
    """Whether a reference asks for a fresh model."""
    return (reference or "").startswith(SCHEME)


def parse(reference: str) -> tuple[str, Shape]:
    """The family and shape that a reference asks for.

    Raises:
        SourceError: there is no such family.
        UsageError: unknown or illegal values, all named.

    >>> family, shape = parse("scratch://t5?layers=2&width=64")
    >>> family, shape.layers, shape.heads
    ('t5', 2, 4)
    """
    parts = urlsplit(reference)
    if parts.netloc not in _FAMILIES:
        raise SourceError(
            f"no family '{parts.netloc}' in '{reference}'", hint=did_you_mean(parts.netloc, list(_FAMILIES))
        )
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    origins = dict.fromkeys(given, reference)
    shape = params.check(Shape, params.read_texts(Shape, given), origins)
    if shape.width % (2 * shape.heads):
        hint = f"legal: a multiple of {2 * shape.heads}, or other heads"
        raise UsageError(f"width = {shape.width}: {shape.heads} heads cannot share it", where=reference, hint=hint)
    return parts.netloc, shape


def build(reference: str, texts: Iterable[str], folder: Path) -> Path:
    """Write the model and its tokenizer to a folder, unless it is there already.

    Args:
        reference: see the module.
        texts: of the training rows, sources and targets alike; the first 500,000 make the tokenizer.
        folder: which then is as `sources.resolve` gives one.

    Raises:
        SourceError: there is no such family, or no text to make a tokenizer from.
        UsageError: unknown or illegal values.
    """
    family, shape = parse(reference)
    return cache.filled(folder, lambda empty: _write(family, shape, texts, empty))


def _write(family: str, shape: Shape, texts: Iterable[str], folder: Path) -> None:
    import torch

    tokenizer = _tokenizer(family, shape, texts)
    with torch.random.fork_rng():
        torch.manual_seed(shape.seed)
        model = _FAMILIES[family](shape, tokenizer)
    with quiet.transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


_SPECIAL: Mapping[str, Mapping[str, str]] = {
    "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    "bart": {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    "marian": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "gpt2": {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"},
    "llama": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
}
_TEMPLATES = {"t5": "$A </s>", "bart": "<s> $A </s>", "marian": "$A </s>"}


def _tokenizer(family: str, shape: Shape, texts: Iterable[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    names = _SPECIAL[family]
    some = itertools.islice((text for text in texts if text), _MOST_TEXTS)
    first = next(some, None)
    if first is None:
        raise SourceError("there is no text to make a tokenizer from")
    core = Tokenizer(models.BPE())
    core.normalizer, core.decoder = normalizers.NFC(), decoders.ByteLevel()
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=list(names.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(itertools.chain([first], some), trainer)
    if template := _TEMPLATES.get(family):
        used = sorted({part for part in template.split() if part != "$A"})
        core.post_processor = processors.TemplateProcessing(
            single=template, pair=f"{template} $B", special_tokens=[(token, core.token_to_id(token)) for token in used]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=shape.positions,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        **names,
    )


def _ids(tokenizer: Any) -> dict[str, Any]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}


def _t5(shape: Shape, tokenizer: Any) -> Any:
    import transformers as t

    config = t.T5Config(
        vocab_size=len(tokenizer),
        d_model=shape.width,
        d_kv=shape.width // shape.heads,
        d_ff=shape.inner or 4 * shape.width,
        num_layers=shape.layers,
        num_heads=shape.heads,
        n_positions=shape.positions,
        dropout_rate=shape.dropout,
        decoder_start_token_id=tokenizer.pad_token_id,
        **_ids(tokenizer),
    )
    return t.T5ForConditionalGeneration(config)


def _two_sided(shape: Shape, tokenizer: Any) -> dict[str, Any]:
    """What BART and Marian call alike."""
    sides = {"layers": shape.layers, "attention_heads": shape.heads, "ffn_dim": shape.inner or 4 * shape.width}
    return {
        **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()},
        "vocab_size": len(tokenizer),
        "d_model": shape.width,
        "max_position_embeddings": shape.positions,
        "dropout": shape.dropout,
        "scale_embedding": True,
        "forced_eos_token_id": None,
        **_ids(tokenizer),
    }


def _bart(shape: Shape, tokenizer: Any) -> Any:
    import transformers as t

    start = tokenizer.eos_token_id
    return t.BartForConditionalGeneration(
        t.BartConfig(**_two_sided(shape, tokenizer), decoder_start_token_id=start, forced_bos_token_id=None)
    )


def _marian(shape: Shape, tokenizer: Any) -> Any:
    import transformers as t

    start = tokenizer.pad_token_id
    return t.MarianMTModel(
        t.MarianConfig(
            **_two_sided(shape, tokenizer), decoder_start_token_id=start, activation_function="swish", init_std=0.02
        )
    )


def _gpt2(shape: Shape, tokenizer: Any) -> Any:
    import transformers as t

    return t.GPT2LMHeadModel(
        t.GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=shape.positions,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_inner=shape.inner,
            resid_pdrop=shape.dropout,
            embd_pdrop=shape.dropout,
            attn_pdrop=0.0,
            **_ids(tokenizer),
        )
    )


def _llama(shape: Shape, tokenizer: Any) -> Any:
    import transformers as t

    return t.LlamaForCausalLM(
        t.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            intermediate_size=shape.inner or -(-shape.width * 8 // (3 * 32)) * 32,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=shape.positions,
            tie_word_embeddings=True,
            **_ids(tokenizer),
        )
    )


_FAMILIES: Mapping[str, Callable[[Shape, Any], Any]] = {
    "t5": _t5,
    "bart": _bart,
    "marian": _marian,
    "gpt2": _gpt2,
    "llama": _llama,
}
