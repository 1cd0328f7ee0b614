"""What hangs on the kind of an answer, in one table: scores, pictures and words of the reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "multi-class",
    "multi-label",
    "regression",
    "entities",
    "triples",
    "answers",
    "texts-translation",
    "texts-summary",
    "texts-chat",
    "ranking",
]


@dataclass(frozen=True)
class Facts:
    """What reports and scores need to know of a kind.

    Args:
        purpose: what a model of this kind does, ``{labels}`` being the number of labels.
        headline: the score that a reader looks for first.
        chief: scores that always get an interval.
        by_length: score shown by length of text: one that stays meaningful where some labels are absent.
        pictures: names of the report's pictures, in the order of the page.
        headings: what the report calls a row's text, its truth and its answer.
        unit: what the number beside a label counts.
        columns: of a counted kind, what is counted of a row.
        label_columns: of a counted kind, what is counted of a row for each label.
        mistakes: columns that count kinds of error.
        example: something to answer, as Python.
    """

    purpose: str
    headline: str
    chief: tuple[str, ...]
    by_length: str
    pictures: tuple[str, ...]
    headings: tuple[str, str, str] = ("text", "target", "predicted")
    unit: str = "rows"
    columns: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    example: str = '"a text"'


_FOUND = ("hits", "gold", "found")
_BOUNDARIES = ("boundary_hits", "boundary_gold", "boundary_found")
_SPAN_MISTAKES = ("wrong type", "wrong boundaries", "missed", "invented")
_TRIPLE_MISTAKES = ("wrong relation", "wrong entity type", "wrong boundaries", "missed", "invented")
_ANSWER_MISTAKES = ("partly right", "wrong", "answer withheld", "answered without need")

BLEU_COLUMNS = (
    "answer_length",
    "reference_length",
    *(f"correct_{size}" for size in range(1, 5)),
    *(f"total_{size}" for size in range(1, 5)),
)
"""sacrebleu's sufficient statistics of a text for BLEU, in its order."""

CHRF_COLUMNS = tuple(f"chrf_{what}_{size}" for size in range(1, 7) for what in ("answer", "reference", "match"))
"""sacrebleu's sufficient statistics of a text for chrF, in its order."""

_TEXT_HEADINGS = ("source", "reference", "answer")

KINDS: dict[Kind, Facts] = {
    "multi-class": Facts(
        purpose="gives each text one of {labels} labels",
        headline="f1_weighted",
        chief=("f1_weighted", "f1_macro", "accuracy"),
        by_length="accuracy",
        pictures=("learning_curves", "confusions", "calibration", "coverage", "precision_recall", "score_by_length"),
    ),
    "multi-label": Facts(
        purpose="gives each text any of {labels} labels",
        headline="f1_macro",
        chief=("f1_micro", "f1_macro", "subset_accuracy"),
        by_length="f1_micro",
        pictures=("learning_curves", "f1_of_labels", "calibration", "precision_recall", "score_by_length"),
    ),
    "regression": Facts(
        purpose="gives each text a number",
        headline="spearman",
        chief=("spearman", "pearson", "rmse"),
        by_length="mae",
        pictures=("learning_curves", "predicted_against_target", "residuals_by_length", "errors", "score_by_length"),
    ),
    "entities": Facts(
        purpose="finds entities of {labels} types in a text",
        headline="f1_micro",
        chief=("f1_micro", "f1_macro", "f1_boundaries"),
        by_length="f1_micro",
        pictures=("learning_curves", "f1_of_labels", "calibration", "error_kinds", "score_by_length"),
        unit="entities",
        columns=_BOUNDARIES,
        label_columns=(*_FOUND, *_SPAN_MISTAKES),
        mistakes=_SPAN_MISTAKES,
    ),
    "triples": Facts(
        purpose="finds entities, and relations of {labels} types between them, in a text",
        headline="f1_strict",
        chief=("f1_strict", "f1_boundaries", "f1_entities"),
        by_length="f1_strict",
        pictures=("learning_curves", "f1_of_labels", "error_kinds", "score_by_length"),
        unit="relations",
        columns=(*_BOUNDARIES, "entity_hits", "entity_gold", "entity_found"),
        label_columns=(*_FOUND, *_TRIPLE_MISTAKES),
        mistakes=_TRIPLE_MISTAKES,
    ),
    "answers": Facts(
        purpose="answers a question with a piece of a given text",
        headline="f1",
        chief=("f1", "exact_match"),
        by_length="f1",
        pictures=("learning_curves", "answer_scores", "score_by_answer_length", "score_by_length"),
        headings=("question and text", "right answers", "answer"),
        columns=("exact", "f1", "answerable", "answerable_f1", "withheld_rightly", "gold_length", *_ANSWER_MISTAKES),
        mistakes=_ANSWER_MISTAKES,
        example='{"question": "Who came?", "context": "Anna came late."}',
    ),
    "texts-translation": Facts(
        purpose="translates a text",
        headline="bleu",
        chief=("bleu", "chrf"),
        by_length="chrf",
        pictures=("learning_curves", "row_scores", "answer_lengths", "score_by_length"),
        headings=_TEXT_HEADINGS,
        columns=("answered", *BLEU_COLUMNS, *CHRF_COLUMNS),
    ),
    "texts-summary": Facts(
        purpose="summarises a text",
        headline="rougeL",
        chief=("rouge1", "rouge2", "rougeL"),
        by_length="rougeL",
        pictures=("learning_curves", "row_scores", "answer_lengths", "score_by_length"),
        headings=_TEXT_HEADINGS,
        columns=(
            "answered",
            "answer_length",
            "reference_length",
            "rouge1",
            "rouge2",
            "rougeL",
            "answer_bigrams",
            "novel_bigrams",
        ),
    ),
    "texts-chat": Facts(
        purpose="answers in a conversation",
        headline="perplexity",
        chief=("perplexity", "rougeL", "chrf"),
        by_length="perplexity",
        pictures=("learning_curves", "surprise", "row_scores", "answer_lengths", "score_by_length"),
        headings=("conversation", "reference", "answer"),
        example='"Good morning!"',
        columns=("nll", "tokens", "answered", "answer_length", "reference_length", "rougeL", *CHRF_COLUMNS),
    ),
    "ranking": Facts(
        purpose="turns texts into vectors, so that texts of like meaning lie close together",
        headline="mrr",
        chief=("mrr", "recall_at_1", "recall_at_10"),
        by_length="mrr",
        pictures=("learning_curves", "ranks", "score_by_length"),
        headings=("query", "right match", "first found"),
        columns=("rank", "reciprocal_rank", "within_1", "within_5", "within_10"),
    ),
}
"""Everything that differs between kinds and is not code."""


def headline(kind: str) -> str:
    """The score of a kind that a reader looks for first.

    >>> headline("multi-class"), headline("entities")
    ('f1_weighted', 'f1_micro')
    """
    return next(facts.headline for name, facts in KINDS.items() if name == kind)
