"""Tiny random models that write, with tokenizers made from a few texts; for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import tiny
from tunesmith import quiet

Kind = Literal["gpt2", "llama", "opt", "gemma2", "cohere", "t5", "bart", "marian"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ONLY_HERE: tuple[Kind, ...] = ("bart", "marian")
"""Families with an encoder that reads as others do, of which ``tiny`` makes none."""
DECODERS: tuple[Kind, ...] = ("gpt2", "llama", "opt", "gemma2", "cohere")
TEXTS = (*tiny.TEXTS, "翻译这句话。", "user assistant system", "Translate to German.", "das Wetter in Paris ist schön")
_WIDTH, _DEPTH, _HEADS, _POSITIONS = 32, 2, 2, 256


def write(
    folder: str | Path,
    kind: Kind = "llama",
    texts: Sequence[str] = TEXTS,
    *,
    seed: int = 0,
    positions: int = _POSITIONS,
) -> Path:
    """Write a random model that writes (width 32, 2 blocks, 256 positions, of llama as many as are asked for) and its tokenizer.

    llama has a chat template, the other decoders none. gemma2 bends its logits, cohere scales them, bart and marian add a
    bias (here not zero), t5 scales its vectors.
    """
    import torch

    folder = Path(folder)
    tokenizer = _tokenizer(kind, texts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _model(kind, tokenizer, positions)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    with quiet.transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(kind: Kind, texts: Sequence[str]) -> Any:
    from transformers import PreTrainedTokenizerFast

    names = {
        "llama": {"bos_token": "<s>", "eos_token": "</s>"},
        "bart": {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        "marian": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
        "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    }.get(kind, {"eos_token": "<|endoftext|>"})
    core = tiny._byte_pairs(texts, list(names.values()), 300)
    forms = {
        "llama": ("<s> $A", "<s> $A $B"),
        "bart": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
        "marian": ("$A </s>", "$A $B </s>"),
        "t5": ("$A </s>", "$A </s> $B </s>"),
    }
    if kind in forms:
        core.post_processor = tiny._template(core, *forms[kind])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=_POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )
    if kind == "llama":
        tokenizer.chat_template = tiny.CHAT_TEMPLATE
    return tokenizer


def _model(kind: Kind, tokenizer: Any, positions: int) -> Any:
    import transformers as t

    size = len(tokenizer)
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    same: dict[str, Any] = {
        "vocab_size": size,
        "hidden_size": _WIDTH,
        "num_hidden_layers": _DEPTH,
        "num_attention_heads": _HEADS,
        "intermediate_size": 2 * _WIDTH,
        "max_position_embeddings": _POSITIONS,
        **ends,
    }
    if kind == "gpt2":
        sizes: dict[str, Any] = {"n_positions": _POSITIONS, "n_embd": _WIDTH, "n_layer": _DEPTH, "n_head": _HEADS}
        return t.GPT2LMHeadModel(t.GPT2Config(vocab_size=size, **sizes, **ends))
    if kind == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**{**same, "max_position_embeddings": positions}))
    if kind == "opt":
        del same["intermediate_size"]
        return t.OPTForCausalLM(t.OPTConfig(**same, ffn_dim=2 * _WIDTH, word_embed_proj_dim=_WIDTH))
    if kind == "gemma2":
        return t.Gemma2ForCausalLM(
            t.Gemma2Config(**same, head_dim=16, num_key_value_heads=1, final_logit_softcapping=0.3)
        )
    if kind == "cohere":
        return t.CohereForCausalLM(t.CohereConfig(**same, logit_scale=0.25))
    if kind == "t5":
        sizes = {"d_model": _WIDTH, "d_kv": 16, "d_ff": 2 * _WIDTH, "num_layers": _DEPTH, "num_heads": _HEADS}
        config = t.T5Config(vocab_size=size, n_positions=_POSITIONS, decoder_start_token_id=0, **sizes, **ends)
        return t.T5ForConditionalGeneration(config)
    parts = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in (("layers", _DEPTH), ("attention_heads", _HEADS), ("ffn_dim", 2 * _WIDTH))
    }
    start = tokenizer.eos_token_id if kind == "bart" else tokenizer.pad_token_id
    shape: dict[str, Any] = {
        **parts,
        **ends,
        "d_model": _WIDTH,
        "vocab_size": size,
        "max_position_embeddings": _POSITIONS,
        "decoder_start_token_id": start,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }
    return (
        t.BartForConditionalGeneration(t.BartConfig(**shape))
        if kind == "bart"
        else t.MarianMTModel(t.MarianConfig(**shape))
    )
