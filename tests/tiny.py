"""Tiny random base models with real tokenizers, for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tunesmith import quiet

Family = Literal["bert", "roberta", "gpt2", "llama", "t5"]

TEXTS = (
    "the film was a fine piece of work and we loved it",
    "a dull plot, bad acting and no end: what a waste of time",
    "my card has not arrived yet, where is it?",
    "how do I top up my account with a new card",
    "the weather in Paris is fine; London has rain again",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_WIDTH, _DEPTH, _HEADS, _POSITIONS = 32, 2, 2, 64


def write_tiny(
    folder: str | Path, family: Family = "bert", texts: Sequence[str] = TEXTS, *, seed: int = 0, vocabulary: int = 300
) -> Path:
    """Write a random model (width 32, 2 blocks, 2 heads, 64 positions) and a tokenizer made from ``texts``.

    The same arguments give the same files. bert has a WordPiece tokenizer in lower case; the others byte-level BPE.
    ``vocabulary`` is the number of pieces beyond letters and bytes.
    gpt2 and llama have no padding token, as in life; llama has a chat template; roberta counts positions from 2.
    """
    import torch

    folder = Path(folder)
    tokenizer = _tokenizer(family, texts, vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _model(family, tokenizer)
    with quiet.transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family, texts: Sequence[str], vocabulary: int) -> Any:
    from transformers import PreTrainedTokenizerFast

    names = _SPECIAL[family]
    specials = list(dict.fromkeys(names.values()))
    core = _wordpiece(texts, specials, vocabulary) if family == "bert" else _byte_pairs(texts, specials, vocabulary)
    if template := _TEMPLATES.get(family):
        core.post_processor = _template(core, *template)
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if family == "bert" else ["input_ids", "attention_mask"]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, model_max_length=_POSITIONS, model_input_names=inputs, **names
    )
    if family == "llama":
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _wordpiece(texts: Sequence[str], specials: list[str], vocabulary: int) -> Any:
    """Pieces are the letters and the commonest words: the library's trainer gives other pieces from run to run."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    letters = sorted({letter for word in words for letter in word})
    common = sorted(words, key=lambda word: (-words[word], word))
    pieces = dict.fromkeys([*specials, *letters, *(f"##{letter}" for letter in letters), *common[:vocabulary]])
    core = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer, core.decoder = normalizer, splitter, decoders.WordPiece()
    return core


def _byte_pairs(texts: Sequence[str], specials: list[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + vocabulary, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    return core


_SPECIAL: dict[Family, dict[str, str]] = {
    "bert": {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "roberta": {
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    },
    "gpt2": {"eos_token": "<|endoftext|>"},
    "llama": {"bos_token": "<s>", "eos_token": "</s>"},
    "t5": {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
}
_TEMPLATES: dict[Family, tuple[str, str]] = {
    "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    "roberta": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    "llama": ("<s> $A", "<s> $A $B"),
    "t5": ("$A </s>", "$A </s> $B </s>"),
}


def _template(core: Any, single: str, pair: str) -> Any:
    from tokenizers import processors

    used = {part.partition(":")[0] for part in f"{single} {pair}".split() if not part.startswith("$")}
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, core.token_to_id(token)) for token in sorted(used)]
    )


def _model(family: Family, tokenizer: Any) -> Any:
    import transformers as t

    size = len(tokenizer)
    same = {
        "hidden_size": _WIDTH,
        "num_hidden_layers": _DEPTH,
        "num_attention_heads": _HEADS,
        "intermediate_size": 2 * _WIDTH,
    }
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if family == "bert":
        return t.BertModel(t.BertConfig(vocab_size=size, max_position_embeddings=_POSITIONS, **same))
    if family == "roberta":
        pad = tokenizer.pad_token_id
        config = t.RobertaConfig(
            vocab_size=size, max_position_embeddings=_POSITIONS + pad + 1, type_vocab_size=1, pad_token_id=pad, **same
        )
        return t.RobertaModel(config)
    if family == "gpt2":
        return t.GPT2LMHeadModel(
            t.GPT2Config(vocab_size=size, n_positions=_POSITIONS, n_embd=_WIDTH, n_layer=_DEPTH, n_head=_HEADS, **ends)
        )
    if family == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(vocab_size=size, max_position_embeddings=_POSITIONS, **same, **ends))
    sizes = {"d_model": _WIDTH, "d_kv": _WIDTH // _HEADS, "d_ff": 2 * _WIDTH, "num_layers": _DEPTH, "num_heads": _HEADS}
    return t.T5ForConditionalGeneration(
        t.T5Config(vocab_size=size, n_positions=_POSITIONS, decoder_start_token_id=0, **sizes, **ends)
    )
