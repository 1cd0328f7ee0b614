"""How good a model is, told to people and programs: in the terminal, as JSON, as a model card, as one HTML page.

    Predictions -> build -> Report -> show, to_json, card, html
                                   -> write (report.json, report.html, README.md, predictions.jsonl), load

A picture is a function in ``pictures_of_*.py``; which ones a kind of predictions has, is in ``metrics.KINDS``.
"""

from tunesmith.report.build import beside, build, environment
from tunesmith.report.card import card
from tunesmith.report.files import OUT_OF_FOLD, load, load_out_of_fold, load_predictions, write, write_out_of_fold
from tunesmith.report.model import (
    Beside,
    Curves,
    Evaluated,
    Folds,
    Headline,
    HeldOut,
    Mistake,
    Report,
    Sample,
    Slice,
    Timing,
    Trained,
    from_json,
    to_json,
)
from tunesmith.report.page import html
from tunesmith.report.terminal import show

__all__ = [
    "OUT_OF_FOLD",
    "Beside",
    "Curves",
    "Evaluated",
    "Folds",
    "Headline",
    "HeldOut",
    "Mistake",
    "Report",
    "Sample",
    "Slice",
    "Timing",
    "Trained",
    "beside",
    "build",
    "card",
    "environment",
    "from_json",
    "html",
    "load",
    "load_out_of_fold",
    "load_predictions",
    "show",
    "to_json",
    "write",
    "write_out_of_fold",
]
