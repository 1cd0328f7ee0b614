"""A tokenizer in llama.cpp's terms: byte-level BPE ("gpt2"), or SentencePiece's BPE with bytes to fall back on ("llama")."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.errors import UsageError

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPLITS = {_WORDS % "": "qwen2", _WORDS % "{1,3}": "llama-bpe"}
"""llama.cpp's names of ways to split a text before pairs are joined, by the expression that says it."""


def add(writer: Any, tokenizer: Any, size: int, ends: frozenset[int]) -> None:
    """Write the vocabulary, the merges, the special tokens and the chat template.

    Args:
        writer: of the file.
        tokenizer: of transformers.
        size: rows of the model's vocabulary.
        ends: the model's end tokens.

    Raises:
        UsageError: llama.cpp has no such tokenizer.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None:
        raise UsageError("no GGUF is written of a tokenizer that is written in Python", hint="export --to merged")
    described = json.loads(core.to_str())
    own = described["model"]
    if own["type"] != "BPE":
        raise UsageError(f"no GGUF is written of a tokenizer of kind {own['type']}", hint="BPE is known")
    pieces = bool(own.get("byte_fallback"))
    writer.add_tokenizer_model("llama" if pieces else "gpt2")
    writer.add_tokenizer_pre("default" if pieces else _split(described["pre_tokenizer"]))
    names, kinds = _tokens(tokenizer, described, size, pieces)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in own["merges"]]
    if pieces:
        writer.add_token_scores(_scores(names, merges))
        writer.add_add_space_prefix(_prefixes(described))
    else:
        writer.add_token_merges(merges)
    _add_special(writer, tokenizer, ends)


def _add_special(writer: Any, tokenizer: Any, ends: frozenset[int]) -> None:
    end = tokenizer.eos_token_id if tokenizer.eos_token_id in ends or not ends else min(ends)
    if end is not None:
        writer.add_eos_token_id(end)
    others = sorted(ends - {end})
    if others:
        writer.add_eot_token_id(others[0])
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.unk_token_id is not None:
        writer.add_unk_token_id(tokenizer.unk_token_id)
    bare = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(bare) and tokenizer.bos_token_id is not None and bare[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _split(described: Any) -> str:
    """How a text is split before pairs are joined."""
    steps = described["pretokenizers"] if (described or {}).get("type") == "Sequence" else [described or {}]
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True) and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        found = _SPLITS.get(steps[0]["pattern"].get("Regex", ""))
        if found:
            return found
    raise UsageError("llama.cpp is not known to split texts as this tokenizer does", hint="export --to merged")


def _tokens(tokenizer: Any, described: Any, size: int, pieces: bool) -> tuple[list[str], list[int]]:
    """Names and kinds of all tokens."""
    from gguf import TokenType

    known = {number: name for name, number in tokenizer.get_vocab().items()}
    added = {one["id"]: one for one in described["added_tokens"]}
    names, kinds = [], []
    for number in range(size):
        names.append(known.get(number, f"<unused {number}>"))
        kind = TokenType.NORMAL
        if number not in known:
            kind = TokenType.UNUSED
        elif number == tokenizer.unk_token_id and pieces:
            kind = TokenType.UNKNOWN
        elif number in added:
            kind = TokenType.CONTROL if added[number]["special"] else TokenType.USER_DEFINED
        elif pieces and names[-1].startswith("<0x") and len(names[-1]) == 6:
            kind = TokenType.BYTE
        kinds.append(int(kind))
    return names, kinds


def _scores(names: list[str], merges: list[str]) -> list[float]:
    """Of each token the rank of the pair that makes it: llama.cpp joins the pair of the highest score first."""
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        ranks.setdefault(pair.replace(" ", ""), rank)
    return [-float(ranks.get(name, len(merges))) for name in names]


def _prefixes(described: Any) -> bool:
    """Whether a text is read as if it began with a blank."""
    text = json.dumps([described.get("normalizer"), described.get("pre_tokenizer")])
    return '"Prepend"' in text or '"prepend_scheme": "first"' in text or '"prepend_scheme": "always"' in text
