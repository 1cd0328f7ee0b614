"""What is measured of answers beside their score: how varied, how repetitive, how long, how slow, how dear they are.

Each measure is one number a row, over the setting's answers to it, so that settings with other numbers of rows compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.words import words
from tunesmith.sweeping import validity
from tunesmith.sweeping.samples import Sample

Array = NDArray[np.float64]

LOWER_IS_BETTER = {"self_bleu", "repetition", "cut", "seconds", "cost"}
"""Measures of which less is better; of ``tokens`` nobody can say."""

UNITS = {
    "distinct_1": "different words among the words of a row's answers, share",
    "distinct_2": "different pairs of words among those of a row's answers, share",
    "self_bleu": "BLEU of each answer against the row's others, 0 to 100: how alike they are",
    "repetition": "share of an answer's four-word pieces that stood there before",
    "cut": "share of answers that max_tokens cut off",
    "valid": "share of answers that are whole and of the format that they are judged by",
    "tokens": "tokens of an answer",
    "seconds": "seconds from a place in the study's batch to the end of an answer",
    "tokens_per_second": "tokens of an answer a second",
    "cost": "price of an answer's tokens",
}


def of(found: Sequence[Sequence[Sample]], *, form: Mapping[str, Any] | None, price: float | None) -> dict[str, Array]:
    """``(rows,)`` of each measure.

    Args:
        found: the answers to each row.
        form: the ``response_format`` that answers are judged by; None: validity is not told.
        price: of 1,000 tokens; None: costs are not told.
    """
    spoken = [[words(one.text) for one in samples] for samples in found]
    rows: dict[str, list[float]] = {
        "distinct_1": [distinct(texts, 1) for texts in spoken],
        "distinct_2": [distinct(texts, 2) for texts in spoken],
        "repetition": [float(np.mean([repetition(text) for text in texts])) for texts in spoken],
        "cut": [_mean(one.finish_reason == "length" for one in samples) for samples in found],
        "tokens": [_mean(one.tokens for one in samples) for samples in found],
        "seconds": [_mean(one.seconds for one in samples) for samples in found],
        "tokens_per_second": [_mean(one.tokens / max(one.seconds, 1e-9) for one in samples) for samples in found],
    }
    if all(len(samples) > 1 for samples in found):
        rows["self_bleu"] = [self_bleu([one.text for one in samples]) for samples in found]
    if form is not None:
        is_valid = validity.judge(form)
        rows["valid"] = [
            _mean(one.finish_reason == "stop" and is_valid(one.text) for one in samples) for samples in found
        ]
    if price is not None:
        rows["cost"] = [_mean(one.tokens * price / 1000 for one in samples) for samples in found]
    return {name: np.array(values, np.float64) for name, values in rows.items()}


def distinct(texts: Sequence[Sequence[str]], size: int) -> float:
    """Different pieces of so many words among all of them (Li et al. 2016, distinct-n); 1 where there are none.

    >>> distinct([["a", "b", "a"]], 1), distinct([["a", "b"], ["a", "b"]], 2)
    (0.6666666666666666, 0.5)
    """
    pieces = [piece for text in texts for piece in _pieces(text, size)]
    return len(set(pieces)) / len(pieces) if pieces else 1.0


def repetition(text: Sequence[str]) -> float:
    """Share of a text's four-word pieces that stood there before (Welleck et al. 2020, seq-rep-4); 0 where there are none.

    >>> repetition("a a a a a".split()), repetition(["a"])
    (0.5, 0.0)
    """
    pieces = _pieces(text, 4)
    return 1 - len(set(pieces)) / len(pieces) if pieces else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU of each text against the others (Zhu et al. 2018, "Texygen"), smoothed, 0 to 100."""
    from sacrebleu.metrics import BLEU

    metric = BLEU(effective_order=True)
    others = [[*texts[:place], *texts[place + 1 :]] for place in range(len(texts))]
    return float(np.mean([metric.sentence_score(text, rest).score for text, rest in zip(texts, others, strict=True)]))


def _pieces(text: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(text[place : place + size]) for place in range(len(text) - size + 1)]


def _mean(values: Any) -> float:
    return float(np.mean([float(value) for value in values]))
