"""Scores of predictions, their uncertainty, and what follows from them. Knows no model and no files.

    Predictions            targets beside what a model answered
      -> score             flat name -> number, as scikit-learn and scipy compute them
      -> intervals         bootstrap confidence intervals of the same numbers
      -> paired_test       is one model better than another on the same rows?
      -> classification_report, label_table, calibration_bins, confusions

``tune_thresholds`` decides from which probability a multi-label model gives each label.
"""

from tunesmith.metrics.predictions import Kind, Predictions, fingerprint
from tunesmith.metrics.scores import Comparison, higher_is_better, intervals, names, paired_test, score, sorts_rows
from tunesmith.metrics.tables import (
    CalibrationBin,
    Confusion,
    LabelScore,
    calibration_bins,
    classification_report,
    confusion_matrix,
    confusions,
    label_table,
)
from tunesmith.metrics.thresholds import tune_thresholds

__all__ = [
    "CalibrationBin",
    "Comparison",
    "Confusion",
    "Kind",
    "LabelScore",
    "Predictions",
    "calibration_bins",
    "classification_report",
    "confusion_matrix",
    "confusions",
    "fingerprint",
    "higher_is_better",
    "intervals",
    "label_table",
    "names",
    "paired_test",
    "score",
    "sorts_rows",
    "tune_thresholds",
]
