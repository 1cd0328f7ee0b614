"""Tiny random generators of five families, whose answers vary and end: several tokens are end tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from tiny import write_tiny

FAMILIES = ("llama", "gpt2", "t5", "bart", "marian")
ENDS = list(range(20, 36))
_SIZES = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
_TOKENS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}


class Generator(NamedTuple):
    """A model with its tokenizer."""

    model: Any
    tokenizer: Any


def make(root: Path, family: str) -> Generator:
    import transformers as t

    kind: Any = family if family in ("llama", "gpt2", "t5") else "gpt2"
    folder = write_tiny(root / family, kind, vocabulary=100)
    tokenizer = t.AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(3)
    if family in ("bart", "marian"):
        config_class, model_class = {
            "bart": (t.BartConfig, t.BartForConditionalGeneration),
            "marian": (t.MarianConfig, t.MarianMTModel),
        }[family]
        sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in _SIZES.items()}
        config = config_class(
            vocab_size=len(tokenizer),
            d_model=32,
            max_position_embeddings=64,
            forced_eos_token_id=None,
            **_TOKENS,
            **sizes,
        )
        model = model_class(config)
    else:
        model = (t.T5ForConditionalGeneration if family == "t5" else t.AutoModelForCausalLM).from_pretrained(folder)
    for name, parameter in model.named_parameters():  # sharper: a random model says nearly the same everywhere
        if parameter.dim() > 1 and "shared" not in name:
            parameter.data *= 8
    model.generation_config.eos_token_id = ENDS
    model.generation_config.pad_token_id = 0
    return Generator(model.eval(), tokenizer)
