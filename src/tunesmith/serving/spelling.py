"""What the tokens of a model spell, as text and as bytes, in the forms of OpenAI's log-probabilities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from tunesmith.generation.answers import TokenLogprob
    from tunesmith.serving.models import Served

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_OF_SERVED: WeakKeyDictionary[Served, Spelling] = WeakKeyDictionary()


def of(served: Served) -> Spelling:
    """The spelling of a model's tokens."""
    if served not in _OF_SERVED:
        _OF_SERVED[served] = Spelling(served.model.tokenizer)
    return _OF_SERVED[served]


class Spelling:
    """What a tokenizer's tokens spell.

    Args:
        tokenizer: a fast one of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self._known = tokenizer, dict[int, bytes]()
        decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
        self._by_letters = decoder is not None and decoder.decode(["a", "Ġb"]) == "a b"
        self._by_pieces = decoder is not None and decoder.decode(["a", "▁b"]) == "a b"
        self._has_bytes = decoder is not None and decoder.decode(["<0x41>"]) == "A"

    def bytes_of(self, token: int) -> bytes:
        """What a token spells, in UTF-8; a token may hold a part of a letter."""
        if token not in self._known:
            self._known[token] = self._spelt(token)
        return self._known[token]

    def text_of(self, token: int) -> str:
        """The same as text; of a part of a letter a sign that stands for it."""
        return self.bytes_of(token).decode("utf-8", "replace")

    @cached_property
    def longest(self) -> int | None:
        """Most letters that one token holds beside space; None: one can stand for any number of letters."""
        if not (self._by_letters or self._has_bytes):
            return None
        return max(len("".join(self.text_of(token).split())) for token in self._tokenizer.get_vocab().values())

    def chat(self, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        """Log-probabilities as chat answers have them; of a prompt's first token, which has none, 0."""
        return {"content": [self._entry(one) for one in logprobs], "refusal": None}

    def completion(self, logprobs: Sequence[TokenLogprob], top: int, offset: int = 0) -> dict[str, Any]:
        """Log-probabilities as completions have them.

        Args:
            logprobs: of each token.
            top: how many likeliest tokens were asked for.
            offset: letters of the text that came before.
        """
        tokens = [self.text_of(one.token) for one in logprobs]
        offsets = [offset + sum(map(len, tokens[:number])) for number in range(len(tokens))]
        return {
            "tokens": tokens,
            "token_logprobs": [one.logprob for one in logprobs],
            "top_logprobs": [self._likeliest(one) for one in logprobs] if top else None,
            "text_offset": offsets,
        }

    def _entry(self, one: TokenLogprob) -> dict[str, Any]:
        tops = [self._one(token, logprob) for token, logprob in one.top]
        return {**self._one(one.token, one.logprob or 0.0), "top_logprobs": tops}

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.text_of(token), "logprob": logprob, "bytes": list(self.bytes_of(token))}

    def _likeliest(self, one: TokenLogprob) -> dict[str, float] | None:
        """By what they spell, the token itself among them."""
        if one.logprob is None:
            return None
        return {self._named(token): logprob for token, logprob in (*one.top, (one.token, one.logprob))}

    def _named(self, token: int) -> str:
        """What it spells; parts of letters, which look alike as text, by their bytes."""
        content = self.bytes_of(token)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in content)

    def _spelt(self, token: int) -> bytes:
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:  # a place of the vocabulary that no token has
            return b""
        if token in self._added:
            return str(piece).encode()
        if self._by_letters:
            return bytes(_LETTERS[letter] for letter in piece if letter in _LETTERS)
        if self._has_bytes and (found := _BYTE.fullmatch(piece)):
            return bytes([int(found[1], 16)])
        if self._by_pieces:
            return str(piece).replace("▁", " ").encode()
        return str(self._tokenizer.decode([token])).encode()

    @cached_property
    def _added(self) -> frozenset[int]:
        """Tokens that stand for themselves."""
        return frozenset(getattr(self._tokenizer, "added_tokens_decoder", {}))


def _letters() -> dict[str, int]:
    """The letter that byte-level tokenizers write for each byte: the printable ones of Latin 1, then those after them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_LETTERS = _letters()
