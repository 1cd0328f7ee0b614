"""Answers that keep to a format: which tokens may come next, by llguidance's parser (an optional package)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.errors import UsageError


class Formats:
    """Formats for one tokenizer.

    Args:
        tokenizer: a fast tokenizer of transformers.
        size: of the model's vocabulary (V).
        ends: the model's end tokens.
    """

    def __init__(self, tokenizer: Any, size: int, ends: Collection[int]) -> None:
        self._tokenizer, self._size, self._ends = tokenizer, size, sorted(ends)
        self._own: Any = None

    def start(self, form: dict[str, Any]) -> Format | None:
        """The parser for a checked ``response_format``; None for plain text.

        Raises:
            UsageError: if the format cannot be used, or the package is not there.
        """
        if form["type"] == "text":
            return None
        guidance = self._package()
        try:
            grammar = _grammar(guidance.LLMatcher, form)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"cannot be used: {error}", where="response_format") from None
        matcher = guidance.LLMatcher(self._own, grammar, log_level=0)
        if matcher.is_error():
            raise UsageError(f"cannot be used: {matcher.get_error().strip()}", where="response_format")
        return Format(matcher, self._size)

    def warm(self) -> None:
        """Read the whole vocabulary now (some tenths of a second) rather than for the first answer that keeps to a format."""
        with suppress(UsageError):  # told to whoever asks for a format
            self._package()

    def _package(self) -> Any:
        try:
            import llguidance
            import llguidance.hf
        except ImportError:
            raise UsageError("response_format needs the package llguidance", hint="pip install llguidance") from None
        if self._own is None:
            try:
                self._own = llguidance.hf.from_tokenizer(
                    self._tokenizer, n_vocab=self._size, eos_token=self._ends or None
                )
            except ValueError as error:
                raise UsageError(f"response_format does not work with this model's tokenizer: {error}") from None
        return llguidance


class Format:
    """Where an answer stands in its format."""

    def __init__(self, matcher: Any, size: int) -> None:
        self._matcher, self._size = matcher, size

    def allowed(self) -> Tensor:
        """A mask (V,) of the tokens that may come next; none, once there is an ``error``."""
        mask = self._matcher.compute_bitmask() if self.error is None else b""
        if self.error is not None:  # the mask then has the end token, as if the answer were whole
            return torch.zeros(self._size, dtype=torch.bool)
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        return torch.from_numpy(bits[: self._size].astype(bool))

    @property
    def error(self) -> str | None:
        """Why nothing more may come although the answer is not whole: a wrong token, or too much work for the parser."""
        if not self._matcher.is_error():
            return None
        return f"response_format: {str(self._matcher.get_error()).strip()}"

    def take(self, token: int) -> None:
        """Go on by a token."""
        self._matcher.consume_token(token)

    @property
    def ended(self) -> bool:
        """Whether nothing more may come."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def copy(self) -> Format:
        """The same place, to go on from apart."""
        return Format(self._matcher.deep_copy(), self._size)


def matcher(form: dict[str, Any]) -> Callable[[str], bool]:
    """Says of a text whether all of it is of a checked ``response_format``, whatever tokens it was written in.

    Raises:
        UsageError: if the format cannot be used, or the package is not there.
    """
    try:
        import llguidance
    except ImportError:
        raise UsageError("response_format needs the package llguidance", hint="pip install llguidance") from None
    try:
        grammar = _grammar(llguidance.LLMatcher, form)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"cannot be used: {error}", where="response_format") from None
    letters = llguidance.LLTokenizer("byte")
    start = llguidance.LLMatcher(letters, grammar, log_level=0)
    if start.is_error():
        raise UsageError(f"cannot be used: {start.get_error().strip()}", where="response_format")

    def matches(text: str) -> bool:
        place = start.deep_copy()
        given = letters.tokenize_bytes(text.encode())
        return bool(place.try_consume_tokens(given) == len(given) and place.is_accepting())

    return matches


def _grammar(matcher: Any, form: dict[str, Any]) -> str:
    """The format as llguidance writes it."""
    kind, content = form["type"], form.get(form["type"])
    if kind == "json_object":
        return str(matcher.grammar_from_json_schema({"type": "object"}))
    if kind == "json_schema":
        schema = content.get("schema", content) if isinstance(content, dict) else content
        return str(matcher.grammar_from_json_schema(schema))
    if kind == "regex":
        return str(matcher.grammar_from_regex(str(content)))
    if kind == "choice":
        if not isinstance(content, (list, tuple)) or not content or not all(isinstance(text, str) for text in content):
            raise ValueError("choice is a list of texts")
        return str(
            matcher.grammar_from_lark("start: " + " | ".join(json.dumps(text, ensure_ascii=False) for text in content))
        )
    return str(matcher.grammar_from_lark(str(content)))
