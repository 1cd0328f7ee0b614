"""Tokens to text piece by piece: letters whose bytes are split over tokens, and stop strings, are held back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# What a tokenizer writes for bytes that are no letter yet.
_UNFINISHED = "\ufffd"


class TextStream:
    """The text of a growing answer, with the part of it that can no longer change.

    Args:
        tokenizer: of transformers.
        stops: texts at which the answer ends.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self._tokenizer, self._stops = tokenizer, tuple(stops)
        self._tokens: list[int] = []
        self._start = 0  # of the tokens that are decoded along, as what a token spells may depend on those before
        self._read = 0  # tokens whose text is in self.text
        self._given = 0  # letters already handed out
        self.text = ""
        self.stop: str | None = None

    def push(self, token: int) -> str:
        """Take a token; return the new letters that are certain to belong to the answer: none after a stop string."""
        if self.stop is not None:
            return ""
        self._tokens.append(token)
        known, now = self._decode(self._read), self._decode(len(self._tokens))
        if not now.endswith(_UNFINISHED) and len(now) > len(known):
            self._grow(now[len(known) :])
            self._start, self._read = self._read, len(self._tokens)
        return self._hand_out(self._certain())

    def finish(self) -> str:
        """The letters held back until now, as nothing more comes."""
        if self.stop is None:
            self._grow(self._decode(len(self._tokens))[len(self._decode(self._read)) :])
        return self._hand_out(len(self.text))

    def _decode(self, end: int) -> str:
        return str(self._tokenizer.decode(self._tokens[self._start : end], skip_special_tokens=True))

    def _grow(self, more: str) -> None:
        """Add text; cut it at the first stop string."""
        before, self.text = len(self.text), self.text + more
        places = [(self.text.find(stop, max(0, before - len(stop) + 1)), stop) for stop in self._stops]
        found = [(place, -len(stop), stop) for place, stop in places if place >= 0]
        if found:
            place, _, self.stop = min(found)
            self.text = self.text[:place]

    def _certain(self) -> int:
        """Letters that cannot be the beginning of a stop string."""
        if self.stop is not None:
            return len(self.text)
        longest = max((overlap(self.text, stop) for stop in self._stops), default=0)
        return len(self.text) - longest

    def _hand_out(self, end: int) -> str:
        piece = self.text[self._given : end]
        self._given = max(self._given, end)
        return piece


def overlap(text: str, stop: str) -> int:
    """Letters at the end of the text with which the stop string begins, if all of it is not there.

    >>> overlap("the en", "end")
    2
    """
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
