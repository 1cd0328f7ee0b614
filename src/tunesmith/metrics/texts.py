"""Texts that a model wrote, against references: translations, summaries, turns of a conversation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tunesmith.metrics.counted import Counted
from tunesmith.metrics.kinds import BLEU_COLUMNS, CHRF_COLUMNS, KINDS, Kind
from tunesmith.metrics.predictions import Array
from tunesmith.metrics.words import mostly_han, mostly_kana, words

Tokenizer = Literal["13a", "zh", "char"]
Columns = dict[str, Array]

References = Sequence[Sequence[str]]
"""At least one right text a row."""


def translation(
    references: References,
    answers: Sequence[str],
    *,
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
    tokenizer: Tokenizer | None = None,
) -> Counted:
    """Translations, counted as sacrebleu does, whose BLEU and chrF of all rows they give.

    Args:
        references: right translations of each row, at least one.
        answers: the translations given.
        texts: what was translated.
        lengths: tokens of each text.
        sources: where each row came from.
        tokenizer: sacrebleu's, for BLEU; None takes ``zh`` for Chinese, ``char`` for Japanese, else ``13a``.

    Raises:
        ValueError: the rows do not fit together, or one has no reference.
    """
    _check(references, answers)
    bleu, bleu_note = _bleu(references, answers, tokenizer)
    chrf, chrf_note = _chrf(references, answers)
    found = {"answered": np.ones(len(answers)), **bleu, **chrf}
    errors = 1 - _chrf_of_rows(chrf) / 100
    return _counted(
        "texts-translation", found, references, answers, errors, (bleu_note, chrf_note), texts, lengths, sources
    )


def summary(
    references: References,
    answers: Sequence[str],
    *,
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
) -> Counted:
    """Summaries, by ROUGE as rouge-score computes it; Chinese by character; the best of several references counts.

    Args:
        references: right summaries of each row, at least one.
        answers: the summaries given.
        texts: what was summarised.
        lengths: tokens of each text.
        sources: where each row came from.

    Raises:
        ValueError: the rows do not fit together, or one has no reference.
    """
    _check(references, answers)
    rouge = _rouge(references, answers, ("rouge1", "rouge2", "rougeL"))
    found = {"answered": np.ones(len(answers)), **_lengths(references, answers), **rouge, **_novelty(texts, answers)}
    errors = 1 - rouge["rougeL"]
    return _counted("texts-summary", found, references, answers, errors, (_ROUGE_NOTE,), texts, lengths, sources)


def chat(
    references: References,
    answers: Sequence[str | None],
    *,
    nll: Sequence[float],
    tokens: Sequence[int],
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
) -> Counted:
    """Turns of conversations: how probable the references are, and how near the answers come to them.

    Args:
        references: right answers of each row, at least one.
        answers: the answers given; None where none was asked for, which leaves the row out of chrF and ROUGE.
        nll: negative log probability of each row's reference, in nats, summed over its tokens.
        tokens: number of those tokens.
        texts: the conversations until there.
        lengths: tokens of each.
        sources: where each row came from.

    Raises:
        ValueError: the rows do not fit together, or one has no reference.
    """
    _check(references, answers)
    surprise = {"nll": np.asarray(nll, dtype=np.float64), "tokens": np.asarray(tokens, dtype=np.float64)}
    answered = [row for row, answer in enumerate(answers) if answer is not None]
    compared, notes, errors = _chat_columns(references, answers, answered)
    if not answered:
        errors = surprise["nll"] / np.maximum(surprise["tokens"], 1)
    given = [answer or "" for answer in answers]
    return _counted("texts-chat", {**surprise, **compared}, references, given, errors, notes, texts, lengths, sources)


def ranking(
    ranks: Sequence[int],
    targets: Sequence[str],
    predicted: Sequence[str],
    *,
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
) -> Counted:
    """Retrieval: at which place the right row came.

    Args:
        ranks: place of the right row (the first of them, if several) among all candidates, from 1.
        targets: the right row of each query.
        predicted: the row that came first.
        texts: the queries.
        lengths: tokens of each.
        sources: where each row came from.

    Raises:
        ValueError: the rows do not fit together.
    """
    rank = np.asarray(ranks, dtype=np.float64)
    within = {f"within_{most}": (rank <= most).astype(np.float64) for most in (1, 5, 10)}
    found = {"rank": rank, "reciprocal_rank": 1 / rank, **within}
    return Counted("ranking", _stacked("ranking", found), targets, predicted, texts, lengths, rank - 1, sources)


def _check(references: References, answers: Sequence[str | None]) -> None:
    if len(references) != len(answers) or not all(references):
        raise ValueError(f"{len(references)} rows of references, which need one each, and {len(answers)} answers")


def _counted(
    kind: Kind,
    found: Columns,
    references: References,
    answers: Sequence[str],
    errors: Array,
    notes: tuple[str, ...],
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str],
) -> Counted:
    return Counted(
        kind=kind,
        statistics=_stacked(kind, found),
        targets=["\n".join(dict.fromkeys(row)) for row in references],
        predicted=list(answers),
        texts=texts,
        lengths=lengths,
        errors=errors,
        sources=sources,
        notes=notes,
    )


def _stacked(kind: Kind, found: Columns) -> Array:
    return np.stack([found[name] for name in KINDS[kind].columns], axis=1)


def _chat_columns(
    references: References, answers: Sequence[str | None], answered: Sequence[int]
) -> tuple[Columns, tuple[str, ...], Array]:
    """Columns of the rows that were answered, 0 elsewhere; notes; how bad each answer is."""
    rows = len(answers)
    some_references, some_answers = [references[row] for row in answered], [answers[row] or "" for row in answered]
    found = {name: np.zeros(rows) for name in ("answered", "answer_length", "reference_length", "rougeL")}
    found |= {name: np.zeros(rows) for name in CHRF_COLUMNS}
    errors = np.zeros(rows)
    if not answered:
        return found, (), errors
    chrf, note = _chrf(some_references, some_answers)
    rouge = _rouge(some_references, some_answers, ("rougeL",))
    compared = {"answered": np.ones(len(answered)), **_lengths(some_references, some_answers), **rouge, **chrf}
    for name, values in compared.items():
        found[name][answered] = values
    errors[answered] = 1 - rouge["rougeL"]
    return found, (note, _ROUGE_NOTE, f"{len(answered):,} of {rows:,} rows were answered"), errors


_ROUGE_NOTE = "ROUGE: F1 as rouge-score computes it, without stemming; scripts that do not part words by character"


def _bleu(references: References, answers: Sequence[str], tokenizer: Tokenizer | None) -> tuple[Columns, str]:
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize=tokenizer or _tokenizer(references), force=True)
    counts = np.array(metric._extract_corpus_statistics(answers, _streams(references)), dtype=np.float64)
    return dict(zip(BLEU_COLUMNS, counts.T, strict=True)), f"BLEU: {metric.get_signature()}"


def _chrf(references: References, answers: Sequence[str]) -> tuple[Columns, str]:
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    counts = np.array(metric._extract_corpus_statistics(answers, _streams(references)), dtype=np.float64)
    return dict(zip(CHRF_COLUMNS, counts.T, strict=True)), f"chrF: {metric.get_signature()}"


def _streams(references: References) -> list[list[Any]]:
    """The first references of all rows, then the second ones...; None where a row has no more."""
    most = max(map(len, references))
    return [[row[number] if number < len(row) else None for row in references] for number in range(most)]


def _tokenizer(references: References) -> str:
    first = [row[0] for row in references]
    return "char" if mostly_kana(first) else "zh" if mostly_han(first) else "13a"


class _Words:
    """The tokenizer that rouge-score is given."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def _rouge(references: References, answers: Sequence[str], names: Sequence[str]) -> Columns:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(names), tokenizer=_Words())
    scores = [scorer.score_multi(list(row), answer) for row, answer in zip(references, answers, strict=True)]
    return {name: np.array([score[name].fmeasure for score in scores], dtype=np.float64) for name in names}


def _lengths(references: References, answers: Sequence[str]) -> Columns:
    """Words of the answers, and of their references on average."""
    return {
        "answer_length": np.array([len(words(answer)) for answer in answers], dtype=np.float64),
        "reference_length": np.array([np.mean([len(words(each)) for each in row]) for row in references]),
    }


def _novelty(texts: Sequence[str], answers: Sequence[str]) -> Columns:
    counts = []
    for text, answer in zip(texts, answers, strict=True):
        known, pairs = _bigrams(text), _bigrams(answer)
        there = set(known)
        counts.append((len(pairs), sum(pair not in there for pair in pairs)))
    pairs_and_novel = np.array(counts, dtype=np.float64)
    return {"answer_bigrams": pairs_and_novel[:, 0], "novel_bigrams": pairs_and_novel[:, 1]}


def _bigrams(text: str) -> list[tuple[str, str]]:
    found = words(text)
    return list(itertools.pairwise(found))


def _chrf_of_rows(chrf: Columns) -> Array:
    """``(n,)`` chrF of each row by itself."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    rows = np.stack([chrf[name] for name in CHRF_COLUMNS], axis=1).tolist()
    return np.array([metric._compute_f_score(row) for row in rows])
