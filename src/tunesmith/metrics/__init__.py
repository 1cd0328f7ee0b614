"""Scores of predictions, their uncertainty, and what follows from them. Knows no model and no files.

    Predictions, Counted   targets beside what a model answered
      -> score             flat name -> number, as scikit-learn, scipy, seqeval, sacrebleu and rouge-score compute them
      -> intervals         bootstrap confidence intervals of the same numbers
      -> paired_test       is one model better than another on the same rows?
      -> classification_report, label_table, confusions, mistakes
      -> trust, coverage, calibration_bins   what the probabilities are worth

Labels and numbers are ``Predictions``. Whatever else a model answers is compared with the truth row by row by
``entities``, ``triples``, ``answers``, ``translation``, ``summary``, ``chat`` or ``ranking``, which give ``Counted``.
What differs between kinds and is no code, is in the table ``KINDS``.

``tune_thresholds`` decides from which probability a multi-label model gives each label.
"""

from tunesmith.metrics.answering import answers
from tunesmith.metrics.counted import Counted, columns
from tunesmith.metrics.formulas_relations import families, outside
from tunesmith.metrics.kinds import KINDS, Facts, Kind, headline
from tunesmith.metrics.predictions import Predictions, fingerprint
from tunesmith.metrics.reliability import (
    CalibrationBin,
    Covered,
    Reliability,
    Trust,
    calibration_bins,
    coverage,
    reliability,
    trust,
)
from tunesmith.metrics.scores import (
    Comparison,
    higher_is_better,
    intervals,
    names,
    paired_test,
    score,
    score_rows,
    score_weighted,
    sorts_rows,
)
from tunesmith.metrics.spans import entities, triples
from tunesmith.metrics.tables import (
    Confusion,
    LabelScore,
    classification_report,
    confusion_matrix,
    confusions,
    label_table,
    mistakes,
)
from tunesmith.metrics.texts import chat, ranking, summary, translation
from tunesmith.metrics.thresholds import tune_thresholds

__all__ = [
    "KINDS",
    "CalibrationBin",
    "Comparison",
    "Confusion",
    "Counted",
    "Covered",
    "Facts",
    "Kind",
    "LabelScore",
    "Predictions",
    "Reliability",
    "Trust",
    "answers",
    "calibration_bins",
    "chat",
    "classification_report",
    "columns",
    "confusion_matrix",
    "confusions",
    "coverage",
    "entities",
    "families",
    "fingerprint",
    "headline",
    "higher_is_better",
    "intervals",
    "label_table",
    "mistakes",
    "names",
    "outside",
    "paired_test",
    "ranking",
    "reliability",
    "score",
    "score_rows",
    "score_weighted",
    "sorts_rows",
    "summary",
    "translation",
    "triples",
    "trust",
    "tune_thresholds",
]
