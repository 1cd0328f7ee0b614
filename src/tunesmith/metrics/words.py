"""Words of a text in any script, for measures that compare words."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_KANA = "\u3040-\u30ff"
_UNSPACED = f"{_HAN}{_KANA}\u0e00-\u0e7f"  # Thai as well: its words are not parted either
_WORD = re.compile(rf"[a-z0-9]+|[{_UNSPACED}]|[^\W\u0000-\u024f{_UNSPACED}]+")
_HAN_CHARACTER, _KANA_CHARACTER = re.compile(f"[{_HAN}]"), re.compile(f"[{_KANA}]")


def words(text: str) -> list[str]:
    """Lower-case words; scripts that do not part words give characters.

    On Latin script it is the tokenizer of rouge-score, which knows the letters a to z and digits only; other scripts,
    which that one drops, give their own words.

    >>> words("It's 3 o'clock."), words("上海 2024年 Привет")
    (['it', 's', '3', 'o', 'clock'], ['上', '海', '2024', '年', 'привет'])
    """
    return _WORD.findall(text.lower())


def mostly_han(texts: Sequence[str]) -> bool:
    """Whether more than half of the texts that hold any letter hold a Chinese character.

    >>> mostly_han(["你好", "hello", "再见", "3.5%", "……"])
    True
    """
    return _mostly(_HAN_CHARACTER, texts)


def mostly_kana(texts: Sequence[str]) -> bool:
    """Whether more than half of the texts that hold any letter hold a Japanese syllable.

    >>> mostly_kana(["ありがとう", "hello"])
    False
    """
    return _mostly(_KANA_CHARACTER, texts)


def _mostly(character: re.Pattern[str], texts: Sequence[str]) -> bool:
    told = [text for text in texts if any(map(str.isalpha, text))]  # numbers and marks are of any language
    return sum(character.search(text) is not None for text in told) * 2 > len(told)
