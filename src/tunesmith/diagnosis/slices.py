"""Rows that have something in common and are answered worse than the others, beyond chance."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from tunesmith.diagnosis.model import Slice

_LEAST_ROWS = 20
_MOST_VALUES = 30
_QUARTERS = 4
_SIGNIFICANT = 0.05


def failing(correct: np.ndarray, columns: Mapping[str, Sequence[str]]) -> tuple[list[Slice], int]:
    """Slices that are answered worse than the other rows, worst first, and how many were looked at.

    Each is tested by Fisher's exact test, one-sided, and the p values are corrected for their number by Holm's method
    (1979). Slices of under 20 rows and columns of over 30 values are not looked at.

    Args:
        correct: whether each row is answered right; bool, (rows,).
        columns: by name, what each row has there.
    """
    tried = [
        _slice(name, value, np.asarray(column) == value, correct)
        for name, column in columns.items()
        for value in _values(column)
    ]
    found = [one for one in _corrected(tried) if one.p_value < _SIGNIFICANT]
    return sorted(found, key=lambda one: one.score), len(tried)


def lengths(tokens: np.ndarray) -> list[str]:
    """For each text, in words, the quarter of all lengths that its own is in.

    >>> lengths(np.array([3, 4, 9, 20]))
    ['3 to 4', '3 to 4', '9 to 9', '20 to 20']
    """
    uppers = np.unique(np.quantile(tokens, np.linspace(0, 1, _QUARTERS + 1)[1:], method="nearest"))
    place = np.searchsorted(uppers, tokens)
    names = {int(each): f"{tokens[place == each].min()} to {tokens[place == each].max()}" for each in np.unique(place)}
    return [names[int(each)] for each in place]


def script(text: str) -> str:
    """The writing system of most letters of a text, by their Unicode names.

    >>> script("a fine film"), script("很好看的电影 (film)"), script("12 + 3")
    ('latin', 'cjk', 'none')
    """
    names = Counter(unicodedata.name(letter, "?").split()[0].lower() for letter in text if letter.isalpha())
    return names.most_common(1)[0][0] if names else "none"


def _values(column: Sequence[str]) -> list[str]:
    """The values that are worth a look: none where all rows have one, or hardly any two the same."""
    counts = Counter(column)
    if not 1 < len(counts) <= _MOST_VALUES:
        return []
    return [value for value, count in counts.items() if count >= _LEAST_ROWS and len(column) - count >= _LEAST_ROWS]


def _slice(name: str, value: str, inside: np.ndarray, correct: np.ndarray) -> Slice:
    rows, right = int(inside.sum()), int(correct[inside].sum())
    others, others_right = int((~inside).sum()), int(correct[~inside].sum())
    test = stats.fisher_exact([[rows - right, right], [others - others_right, others_right]], alternative="greater")
    between = stats.binomtest(right, rows).proportion_ci(0.95, "wilson")
    interval = float(between.low), float(between.high)
    return Slice(name, value, rows, right / rows, interval, others_right / others, float(test.pvalue))


def _corrected(tried: Sequence[Slice]) -> list[Slice]:
    """The slices with p values that hold for all of them together, ascending."""
    from dataclasses import replace

    found, highest = [], 0.0
    for place, one in enumerate(sorted(tried, key=lambda each: each.p_value)):
        highest = max(highest, min(1.0, one.p_value * (len(tried) - place)))
        found.append(replace(one, p_value=highest))
    return found
