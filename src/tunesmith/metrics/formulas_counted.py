"""The metrics of counted predictions: functions of column sums, so that they hold for any weighting of the rows."""

from __future__ import annotations

import numpy as np

from tunesmith.metrics.kinds import BLEU_COLUMNS, CHRF_COLUMNS
from tunesmith.metrics.predictions import Array
from tunesmith.metrics.registry import metric, ratio
from tunesmith.metrics.sample import Draws, Totals
from tunesmith.metrics.words import words

TEXTS = ("texts-translation", "texts-summary", "texts-chat")


@metric("entities")
def precision_micro(totals: Draws) -> Array:
    """Share of what was found that is there, span and type."""
    return ratio(totals.hits.sum(axis=1), totals.predicted.sum(axis=1))


@metric("entities")
def recall_micro(totals: Draws) -> Array:
    """Share of what is there that was found, span and type."""
    return ratio(totals.hits.sum(axis=1), totals.actual.sum(axis=1))


@metric("triples")
def f1_strict(totals: Draws) -> Array:
    """F1 of triples whose spans, types of entities and type of relation are all right."""
    return ratio(2 * totals.hits.sum(axis=1), (totals.actual + totals.predicted).sum(axis=1))


@metric("triples")
def precision_strict(totals: Draws) -> Array:
    """Share of the triples found that are there."""
    return ratio(totals.hits.sum(axis=1), totals.predicted.sum(axis=1))


@metric("triples")
def recall_strict(totals: Draws) -> Array:
    """Share of the triples there that were found."""
    return ratio(totals.hits.sum(axis=1), totals.actual.sum(axis=1))


@metric("entities", "triples")
def f1_boundaries(totals: Totals) -> Array:
    """F1 if types of entities did not matter: of spans, or of relations between spans."""
    return ratio(2 * totals.sum("boundary_hits"), totals.sum("boundary_gold") + totals.sum("boundary_found"))


@metric("triples")
def f1_entities(totals: Totals) -> Array:
    """F1 of the entities, span and type."""
    return ratio(2 * totals.sum("entity_hits"), totals.sum("entity_gold") + totals.sum("entity_found"))


@metric("answers")
def f1(totals: Totals) -> Array:
    """Mean F1 of words (Chinese: of characters) against the right answer that is nearest."""
    return totals.mean("f1")


@metric("answers")
def exact_match(totals: Totals) -> Array:
    """Share of answers that are right to the letter, case, punctuation and English articles left aside."""
    return totals.mean("exact")


@metric("answers")
def f1_answerable(totals: Totals) -> Array:
    """Mean F1 of the questions that have an answer; undefined where all have."""
    answerable = totals.sum("answerable")
    found = ratio(totals.sum("answerable_f1"), answerable, empty=np.nan)
    return np.asarray(np.where(answerable < totals.total, found, np.nan))


@metric("answers")
def accuracy_unanswerable(totals: Totals) -> Array:
    """Share of the questions without an answer that were left unanswered; undefined where all have one."""
    return ratio(totals.sum("withheld_rightly"), totals.total - totals.sum("answerable"), empty=np.nan)


@metric("texts-chat", lower=True)
def perplexity(totals: Totals) -> Array:
    """Exponential of the mean negative log probability of a token of the reference."""
    return np.asarray(np.exp(ratio(totals.sum("nll"), totals.sum("tokens"), empty=np.nan)))


@metric("texts-translation")
def bleu(totals: Totals) -> Array:
    """BLEU of all texts together, 0 to 100 (Papineni et al. 2002), as sacrebleu computes it."""
    from sacrebleu.metrics import BLEU

    counts = np.stack([totals.sum(name) for name in BLEU_COLUMNS], axis=1).tolist()
    return np.array(
        [BLEU.compute_bleu(row[2:6], row[6:], int(row[0]), int(row[1]), smooth_method="exp").score for row in counts]
    )


@metric("texts-translation", "texts-chat")
def chrf(totals: Totals) -> Array:
    """ChrF of all texts together, 0 to 100 (Popović 2015), as sacrebleu computes it."""
    counts = np.stack([totals.sum(name) for name in CHRF_COLUMNS], axis=1).reshape(len(totals.total), -1, 3)
    answer, reference, match = counts[..., 0], counts[..., 1], counts[..., 2]
    used = (answer > 0) & (reference > 0)
    precision = ratio((ratio(match, answer) * used).sum(axis=1), used.sum(axis=1))
    recall = ratio((ratio(match, reference) * used).sum(axis=1), used.sum(axis=1))
    found = 100 * ratio(5 * precision * recall, 4 * precision + recall)
    return np.asarray(np.where(totals.sum("answered") > 0, found, np.nan))


@metric("texts-summary")
def rouge1(totals: Totals) -> Array:
    """Mean F1 of words (Lin 2004)."""
    return _of_answered(totals, "rouge1")


@metric("texts-summary")
def rouge2(totals: Totals) -> Array:
    """Mean F1 of pairs of neighbouring words (Lin 2004)."""
    return _of_answered(totals, "rouge2")


@metric("texts-summary", "texts-chat")
def rougeL(totals: Totals) -> Array:  # noqa: N802 - the name that the field gives it
    """Mean F1 of the longest common sequence of words (Lin 2004)."""
    return _of_answered(totals, "rougeL")


@metric(*TEXTS, describes=True)
def length_ratio(totals: Totals) -> Array:
    """Length of the answers over length of the references, in words."""
    found = ratio(totals.sum("answer_length"), totals.sum("reference_length"), empty=np.nan)
    return np.asarray(np.where(totals.sum("answered") > 0, found, np.nan))


@metric("texts-summary", describes=True)
def novel_bigrams(totals: Totals) -> Array:
    """Share of the answers' pairs of neighbouring words that the source does not hold: 0 is all copied."""
    return ratio(totals.sum("novel_bigrams"), totals.sum("answer_bigrams"), empty=np.nan)


@metric("texts-chat", describes=True)
def distinct_1(totals: Totals) -> Array:
    """Share of the answers' words that are different ones (Li et al. 2016), over all rows, however weighted."""
    return _distinct(totals, 1)


@metric("texts-chat", describes=True)
def distinct_2(totals: Totals) -> Array:
    """Share of the answers' pairs of neighbouring words that are different ones, over all rows, however weighted."""
    return _distinct(totals, 2)


@metric("ranking")
def mrr(totals: Totals) -> Array:
    """Mean of one over the rank of the right row."""
    return totals.mean("reciprocal_rank")


@metric("ranking")
def recall_at_1(totals: Totals) -> Array:
    """Share of queries whose right row comes first."""
    return totals.mean("within_1")


@metric("ranking")
def recall_at_5(totals: Totals) -> Array:
    """Share of queries whose right row is among the first five."""
    return totals.mean("within_5")


@metric("ranking")
def recall_at_10(totals: Totals) -> Array:
    """Share of queries whose right row is among the first ten."""
    return totals.mean("within_10")


def _of_answered(totals: Totals, column: str) -> Array:
    return ratio(totals.sum(column), totals.sum("answered"), empty=np.nan)


def _distinct(totals: Totals, size: int) -> Array:
    found: set[tuple[str, ...]] = set()
    count = 0
    for answer in totals.rows.predicted:
        pieces = words(answer)
        grams = [tuple(pieces[first : first + size]) for first in range(len(pieces) - size + 1)]
        found.update(grams)
        count += len(grams)
    return np.full(len(totals.total), len(found) / count if count else np.nan)
