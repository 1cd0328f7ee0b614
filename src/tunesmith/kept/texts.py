"""What an input says, as words and as a length in tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.text import spans

_AT_ONCE = 1024


def text_of(row: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """The texts of a canonical row's inputs, one after another; words count only where there is no text of them.

    >>> text_of({"messages": [{"role": "user", "content": "Hello"}]}, ["messages"])
    'Hello'
    """
    values = {name: row.get(name) for name in inputs}
    if values.get("text"):
        values.pop("tokens", None)
    return "\n".join(text for value in values.values() for text in _texts(value))


def words_of(text: str) -> list[str]:
    """Words in lower case without marks; a character of a script without spaces is one.

    >>> words_of("U2 in 上海!")
    ['u2', 'in', '上', '海']
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    places = spans.split(plain)
    return [plain[start:end] for start, end in places if unicodedata.category(plain[start])[0] not in "PSC"]


class Measure:
    """Counts tokens as a bundle's tokenizer cuts texts, without what stands around them.

    Args:
        core: of the ``tokenizers`` library.
    """

    def __init__(self, core: Any) -> None:
        core.no_truncation()
        core.no_padding()
        self._core = core
        self._unknown = getattr(core.model, "unk_token", None)

    @classmethod
    def of(cls, folder: Path) -> Measure | None:
        """By the tokenizer of a bundle, or of the exported model in it; None: there is none that can be read alone."""
        from tokenizers import Tokenizer

        for file in [folder / "tokenizer.json", *sorted(folder.glob("*/tokenizer.json"))]:
            if file.exists():
                return cls(Tokenizer.from_file(str(file)))
        return None

    def tokens(self, texts: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Of each text its tokens, and how many of these are unknown."""
        for start in range(0, len(texts), _AT_ONCE):
            for one in self._core.encode_batch(list(texts[start : start + _AT_ONCE]), add_special_tokens=False):
                yield len(one.ids), 0 if self._unknown is None else one.tokens.count(self._unknown)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(value.get("content"))
    elif isinstance(value, (list, tuple)):
        whole = all(isinstance(one, str) for one in value)
        yield from [" ".join(value)] if whole else (text for one in value for text in _texts(one))
