"""Answers to questions, compared as SQuAD's and, for Chinese, CMRC's evaluation scripts do."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tunesmith.metrics.counted import Counted, columns
from tunesmith.metrics.words import mostly_han

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_CHINESE_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_HAN = re.compile("[\u4e00-\u9fa5]")


def answers(
    gold: Sequence[Sequence[str]],
    found: Sequence[str],
    *,
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
    chinese: bool | None = None,
) -> Counted:
    """Answers to questions, each against its right ones.

    English: case, punctuation, articles and spaces do not matter, and F1 is of words, any order (Rajpurkar et al.
    2016, 2018). Chinese: F1 is of the longest run of characters that both share (Cui et al. 2019).

    Args:
        gold: the right answers of each question; none: it has no answer.
        found: the answer given; empty: none.
        texts: questions and texts as the report shows them.
        lengths: tokens of each.
        sources: where each row came from.
        chinese: compare as for Chinese; None: if most rows hold Chinese.

    Raises:
        ValueError: the rows do not fit together.
    """
    if chinese is None:
        chinese = mostly_han([" ".join([text, *row]) for row, text in zip(gold, texts, strict=True)])
    normalise, pieces = (_chinese, _chinese_pieces) if chinese else (_english, _english_pieces)
    overlap = _common_run if chinese else _common_pieces
    rows = []
    for right, answer in zip(gold, found, strict=True):
        known = [each for each in right if normalise(each)]
        exact = max((normalise(each) == normalise(answer) for each in known), default=not normalise(answer))
        near = max((_f1(pieces(each), pieces(answer), overlap) for each in known), default=float(exact))
        rows.append(_row(known, bool(normalise(answer)), bool(exact), near))
    statistics = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    return Counted(
        kind="answers",
        statistics=statistics,
        targets=[" / ".join(dict.fromkeys(row)) for row in gold],
        predicted=list(found),
        texts=texts,
        lengths=lengths,
        errors=1 - statistics[:, columns("answers", ()).index("f1")],
        sources=sources,
        notes=("answers compared as CMRC 2018 does" if chinese else "answers compared as SQuAD 2.0 does",),
    )


def _row(known: Sequence[str], given: bool, exact: bool, near: float) -> list[float]:
    """What is counted of a row, in the order of the columns."""
    answerable = bool(known)
    length = float(np.median([len(each) for each in known])) if known else 0.0
    mistakes = [
        answerable and given and near > 0 and not exact,
        answerable and given and near == 0 and not exact,
        answerable and not given,
        given and not answerable,
    ]
    right = [exact, near, answerable, near if answerable else 0, exact and not answerable]
    return [*map(float, right), length, *map(float, mistakes)]


def _english(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _english_pieces(text: str) -> list[str]:
    return _english(text).split()


def _chinese(text: str) -> str:
    return text.lower().strip().translate(_NO_CHINESE_PUNCTUATION)


@cache
def _words_between() -> Callable[[str], list[str]]:
    from nltk.tokenize import NLTKWordTokenizer

    found: Callable[[str], list[str]] = NLTKWordTokenizer().tokenize
    return found


def _chinese_pieces(text: str) -> list[str]:
    """Chinese characters one by one; what lies between them by words."""
    pieces, between = [], ""
    for character in [*_chinese(text), None]:
        if character is not None and not _HAN.match(character):
            between += character
            continue
        pieces += _words_between()(between) if between.strip() else []
        pieces += [character] if character else []
        between = ""
    return pieces


def _f1(right: list[str], answer: list[str], overlap: Callable[[list[str], list[str]], int]) -> float:
    if not right or not answer:
        return float(right == answer)
    common = overlap(right, answer)
    return 2 * common / (len(right) + len(answer))


def _common_pieces(right: list[str], answer: list[str]) -> int:
    return sum((Counter(right) & Counter(answer)).values())


def _common_run(right: list[str], answer: list[str]) -> int:
    """Length of the longest run that both hold."""
    longest, row = 0, [0] * (len(answer) + 1)
    for piece in right:
        row = [0, *(row[place] + 1 if piece == other else 0 for place, other in enumerate(answer))]
        longest = max(longest, *row)
    return longest
